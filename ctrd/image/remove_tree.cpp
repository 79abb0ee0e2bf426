// remove_tree: of tree_writer.hpp. A hostile tree may be deeper than a path or a stack can be.
#include "ctrd/image/tree_writer.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace ctrd::image {
namespace {

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

Dir open_dir(int folder, const char* name) {
    const int fd = ::openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return Dir{fd < 0 ? nullptr : ::fdopendir(fd)};
}

/// Removes all but folders from `dir`; the name of the first folder, or "" when it is empty. -1 with errno: "?" .
Result<std::string> empty_but_folders(DIR* dir) {
    ::rewinddir(dir);
    std::string first;
    while (const dirent* entry = ::readdir(dir)) {
        if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0)
            continue;
        if (::unlinkat(::dirfd(dir), entry->d_name, 0) == 0 || errno == ENOENT)
            continue;
        if (errno != EISDIR && errno != EPERM)
            return fail(os_error(errno, "cannot remove '" + printable(entry->d_name) + "'"));
        if (::unlinkat(::dirfd(dir), entry->d_name, AT_REMOVEDIR) == 0)
            continue;
        if (errno != ENOTEMPTY && errno != EEXIST)
            return fail(os_error(errno, "cannot remove the folder '" + printable(entry->d_name) + "'"));
        first = entry->d_name;
        break;
    }
    return first;
}

} // namespace

Result<void> remove_tree(int folder, const std::string& name) {
    if (::unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT)
        return {};
    // The way down, one open folder each: at most as deep as a path can be, since it was made by paths.
    std::vector<std::pair<Dir, std::string>> way;
    const auto descend = [&](int from, std::string child) -> Result<void> {
        Dir dir = open_dir(from, child.c_str());
        if (!dir)
            return fail(os_error(errno, "cannot open '" + printable(child) + "' to remove it"));
        way.emplace_back(std::move(dir), std::move(child));
        return {};
    };
    TRY_VOID(descend(folder, name));
    while (!way.empty()) {
        std::string child = TRY(empty_but_folders(way.back().first.get()));
        if (!child.empty()) {
            TRY_VOID(descend(::dirfd(way.back().first.get()), std::move(child)));
            continue;
        }
        const std::string done = std::move(way.back().second);
        way.pop_back();
        const int parent = way.empty() ? folder : ::dirfd(way.back().first.get());
        if (::unlinkat(parent, done.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT)
            return fail(os_error(errno, "cannot remove the folder '" + printable(done) + "'"));
    }
    return {};
}

} // namespace ctrd::image
