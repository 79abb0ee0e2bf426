#include "ctrd/image/folder.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>

namespace ctrd::image {
namespace {

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

} // namespace

Result<std::vector<std::string>> names_in(int folder, const std::string& path) {
    std::vector<std::string> names;
    const int fd = ::openat(folder, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, CloseDir> dir{fd < 0 ? nullptr : ::fdopendir(fd)};
    if (!dir)
        return errno == ENOENT ? Result<std::vector<std::string>>{names}
                               : fail(os_error(errno, "cannot list '" + path + "'"));
    while (const dirent* entry = ::readdir(dir.get()))
        if (entry->d_name[0] != '.')
            names.emplace_back(entry->d_name);
    return names;
}

Result<std::set<std::string>> all_names_in(int folder) {
    const int fd = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, CloseDir> dir{fd < 0 ? nullptr : ::fdopendir(fd)};
    if (!dir)
        return fail(os_error(errno, "cannot list a folder"));
    std::set<std::string> names;
    while (const dirent* entry = ::readdir(dir.get()))
        if (const std::string_view name = entry->d_name; name != "." && name != "..")
            names.emplace(name);
    return names;
}

} // namespace ctrd::image
