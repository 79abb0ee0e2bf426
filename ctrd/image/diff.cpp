#include "ctrd/image/diff.hpp"

#include "ctrd/image/xattrs.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <map>
#include <memory>

namespace ctrd::image {
namespace {

using Folders = std::vector<UniqueFd>; // of one path, the uppermost layer's first

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

/// What has a name in the uppermost layer that has it.
struct Node {
    struct stat st {};
    std::size_t in{0};                  // which of the folders
    std::vector<std::size_t> folders{}; // of a folder: in which of them it is one that counts
    bool closed{false};                 // nothing below counts any more
    bool deleted{false};
};
using Nodes = std::map<std::string, Node>;

Error at_path(int err, const std::string& path) {
    return os_error(err, "cannot look at '" + printable(path) + "' in a layer");
}

UniqueFd open_readable(int folder, const std::string& name, int flags) {
    return UniqueFd{::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags)};
}

bool same_file(const struct stat& one, const struct stat& other) {
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

Result<void> add_nodes(const Folders& folders, std::size_t which, const std::string& path, Nodes& nodes) {
    const int folder = folders[which].get();
    const std::unique_ptr<DIR, CloseDir> dir{::fdopendir(open_readable(folder, ".", O_DIRECTORY).release())};
    if (!dir)
        return fail(at_path(errno, path));
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string name = entry->d_name;
        if (name == "." || name == "..")
            continue;
        struct stat st {};
        if (::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0)
            return fail(at_path(errno, path + "/" + name));
        const auto [node, is_new] = nodes.try_emplace(name, Node{.st = st, .in = which});
        if (node->second.closed)
            continue;
        if (!S_ISDIR(st.st_mode)) {
            node->second.deleted = is_new && S_ISCHR(st.st_mode) && st.st_rdev == 0;
            node->second.closed = true;
            continue;
        }
        node->second.folders.push_back(which);
        const UniqueFd below = open_readable(folder, name, O_DIRECTORY);
        node->second.closed = below && is_opaque(below.get());
    }
    return {};
}

Result<Nodes> merged(const Folders& folders, const std::string& path) {
    Nodes nodes;
    for (std::size_t i = 0; i < folders.size(); ++i)
        TRY_VOID(add_nodes(folders, i, path, nodes));
    std::erase_if(nodes, [](const auto& node) { return node.second.deleted; });
    return nodes;
}

class Comparison {
public:
    explicit Comparison(const std::function<void(const Change&)>& found) : found_{found} {}

    Result<void> folders(const Folders& before, const Folders& after, const std::string& path) {
        if (path.size() >= PATH_MAX || TRY(are_same(before, after)))
            return {};
        const Nodes old = TRY(merged(before, path));
        const Nodes now = TRY(merged(after, path));
        auto one = old.begin();
        auto other = now.begin();
        while (one != old.end() || other != now.end()) {
            const bool only_before = other == now.end() || (one != old.end() && one->first < other->first);
            const bool only_after = one == old.end() || (other != now.end() && other->first < one->first);
            const std::string name = path + "/" + (only_before ? one : other)->first;
            if (only_before)
                found_({Change::Kind::deleted, name});
            else if (only_after)
                TRY_VOID(added(after, *other, name));
            else
                TRY_VOID(both(before, *one, after, *other, name));
            if (!only_after)
                ++one;
            if (!only_before)
                ++other;
        }
        return {};
    }

private:
    static Result<bool> are_same(const Folders& before, const Folders& after) {
        if (before.size() != after.size())
            return false;
        for (std::size_t i = 0; i < before.size(); ++i) {
            struct stat one {};
            struct stat other {};
            if (::fstat(before[i].get(), &one) < 0 || ::fstat(after[i].get(), &other) < 0)
                return fail(os_error(errno, "cannot look at a layer"));
            if (!same_file(one, other))
                return false;
        }
        return true;
    }

    static Result<Folders> below(const Folders& in, const Nodes::value_type& node, const std::string& path) {
        Folders result;
        for (const std::size_t i : node.second.folders) {
            result.push_back(open_readable(in[i].get(), node.first, O_DIRECTORY));
            if (!result.back())
                return fail(at_path(errno, path));
        }
        return result;
    }

    Result<void> added(const Folders& after, const Nodes::value_type& node, const std::string& path) {
        found_({Change::Kind::added, path});
        if (!S_ISDIR(node.second.st.st_mode))
            return {};
        const Folders inside = TRY(below(after, node, path));
        return folders({}, inside, path);
    }

    Result<void> both(const Folders& before, const Nodes::value_type& old, const Folders& after,
                      const Nodes::value_type& now, const std::string& path) {
        const struct stat& one = old.second.st;
        const struct stat& other = now.second.st;
        bool changed = !same_file(one, other) && attributes_differ(one, other);
        if (!changed && !same_file(one, other))
            changed =
                TRY(contents_differ(before[old.second.in].get(), after[now.second.in].get(), old.first, one, path));
        if (changed)
            found_({Change::Kind::changed, path});
        if (!S_ISDIR(other.st_mode))
            return {};
        Folders old_folders;
        if (S_ISDIR(one.st_mode))
            old_folders = TRY(below(before, old, path));
        return folders(old_folders, TRY(below(after, now, path)), path);
    }

    static bool attributes_differ(const struct stat& one, const struct stat& other) {
        if (one.st_mode != other.st_mode || one.st_uid != other.st_uid || one.st_gid != other.st_gid)
            return true;
        return !S_ISDIR(one.st_mode) &&
               (one.st_size != other.st_size || one.st_rdev != other.st_rdev ||
                one.st_mtim.tv_sec != other.st_mtim.tv_sec || one.st_mtim.tv_nsec != other.st_mtim.tv_nsec);
    }

    /// Of two of one type: where a link leads, what a file holds, and attributes.
    Result<bool> contents_differ(int before, int after, const std::string& name, const struct stat& st,
                                 const std::string& path) {
        if (S_ISLNK(st.st_mode)) {
            char one[PATH_MAX];
            char other[PATH_MAX];
            const ssize_t length = ::readlinkat(before, name.c_str(), one, sizeof one);
            if (length < 0 || ::readlinkat(after, name.c_str(), other, sizeof other) < 0)
                return fail(at_path(errno, path));
            return std::string_view{one, static_cast<std::size_t>(length)} !=
                   std::string_view{other, static_cast<std::size_t>(length)}; // as long: it is the link's size
        }
        if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
            return false;
        const UniqueFd one = open_readable(before, name, 0);
        const UniqueFd other = open_readable(after, name, 0);
        if (!one || !other)
            return fail(at_path(errno, path));
        const auto attributes = TRY(read_xattrs(one.get()));
        if (attributes != TRY(read_xattrs(other.get())))
            return true;
        return S_ISREG(st.st_mode) ? bytes_differ(one.get(), other.get(), path) : false;
    }

    Result<bool> bytes_differ(int one, int other, const std::string& path) {
        for (off_t offset = 0;;) {
            const ssize_t n = ::pread(one, buffers_[0].data(), buffers_[0].size(), offset);
            const ssize_t m = ::pread(other, buffers_[1].data(), buffers_[1].size(), offset);
            if (n < 0 || m < 0)
                return fail(at_path(errno, path));
            const auto size = static_cast<std::size_t>(n);
            if (n != m || buffers_[0].compare(0, size, buffers_[1], 0, size) != 0)
                return true;
            if (n == 0)
                return false;
            offset += n;
        }
    }

    const std::function<void(const Change&)>& found_;
    std::array<std::string, 2> buffers_{std::string(1U << 17, '\0'), std::string(1U << 17, '\0')};
};

Result<Folders> readable(std::span<const UniqueFd> layers) {
    Folders result;
    for (const UniqueFd& layer : layers) {
        result.push_back(open_readable(layer.get(), ".", O_DIRECTORY));
        if (!result.back())
            return fail(os_error(errno, "cannot open a layer"));
    }
    return result;
}

} // namespace

Result<void> compare_layers(std::span<const UniqueFd> before, std::span<const UniqueFd> after,
                            const std::function<void(const Change&)>& found) {
    const Folders old = TRY(readable(before));
    const Folders now = TRY(readable(after));
    return Comparison{found}.folders(old, now, "");
}

} // namespace ctrd::image
