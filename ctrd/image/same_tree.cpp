#include "ctrd/image/same_tree.hpp"

#include "ctrd/base/fd.hpp"
#include "ctrd/image/folder.hpp"
#include "ctrd/image/xattrs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

namespace ctrd::image {
namespace {

using Difference = std::optional<std::string>;

Error at_path(int err, const std::string& path) {
    return os_error(err, "cannot look at '" + printable(path) + "' in a layer");
}

Difference differs(const std::string& path, std::string_view in) {
    return "'" + printable(path) + "': " + std::string{in};
}

UniqueFd open_readable(int folder, const std::string& name) {
    return UniqueFd{::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
}

/// What overlayfs takes for a deleted file has the time when it was made, which means nothing.
bool is_whiteout(const struct stat& st) { return S_ISCHR(st.st_mode) && st.st_rdev == 0; }

Difference different_stat(const std::string& path, const struct stat& wanted, const struct stat& found) {
    if ((wanted.st_mode & S_IFMT) != (found.st_mode & S_IFMT))
        return differs(path, "what kind of file it is");
    if (wanted.st_mode != found.st_mode)
        return differs(path, "its mode");
    if (wanted.st_uid != found.st_uid || wanted.st_gid != found.st_gid)
        return differs(path, "its owner");
    if (wanted.st_rdev != found.st_rdev)
        return differs(path, "which device it is");
    if (!S_ISDIR(wanted.st_mode) && wanted.st_nlink != found.st_nlink)
        return differs(path, "its number of links");
    if (!S_ISDIR(wanted.st_mode) && wanted.st_size != found.st_size)
        return differs(path, "its size");
    if (!is_whiteout(wanted) &&
        (wanted.st_mtim.tv_sec != found.st_mtim.tv_sec || wanted.st_mtim.tv_nsec != found.st_mtim.tv_nsec))
        return differs(path, "its time");
    return {};
}

Result<std::string> link_target(int folder, const std::string& name, const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const ssize_t length = ::readlinkat(folder, name.c_str(), target.data(), target.size());
    return length < 0 ? Result<std::string>{fail(at_path(errno, path))}
                      : std::string{target.data(), static_cast<std::size_t>(length)};
}

Result<std::size_t> fill(int file, std::string& buffer, const std::string& path) {
    std::size_t have = 0;
    while (have < buffer.size()) {
        const ssize_t n = ::read(file, buffer.data() + have, buffer.size() - have);
        if (n < 0 && errno != EINTR)
            return fail(at_path(errno, path));
        if (n == 0)
            break;
        have += static_cast<std::size_t>(std::max<ssize_t>(n, 0));
    }
    return have;
}

class Comparison {
public:
    Result<Difference> folders(int wanted, int found, const std::string& path) {
        if (TRY(read_xattrs(wanted)) != TRY(read_xattrs(found)) || is_opaque(wanted) != is_opaque(found))
            return differs(path, "its attributes");
        const auto names = TRY(all_names_in(wanted).context("'" + printable(path) + "' of a layer"));
        const auto there = TRY(all_names_in(found).context("'" + printable(path) + "' of a layer"));
        const std::string before = path == "/" ? "" : path + "/";
        for (const std::string& name : names)
            if (!there.contains(name))
                return differs(before + name, "it is missing");
        for (const std::string& name : there)
            if (!names.contains(name))
                return differs(before + name, "it is not of this layer");
        for (const std::string& name : names)
            if (auto difference = TRY(nodes(wanted, found, name, before + name)))
                return difference;
        return Difference{};
    }

    Result<Difference> whole_files(int wanted, int found) {
        for (std::uint64_t at = 0;; at += one_.size()) {
            const std::size_t some = TRY(fill(wanted, one_, "/"));
            const std::size_t more = TRY(fill(found, other_, "/"));
            const auto first = std::string_view{one_}.substr(0, some);
            const auto second = std::string_view{other_}.substr(0, more);
            const auto differ = std::ranges::mismatch(first, second);
            if (differ.in1 != first.end() || differ.in2 != second.end())
                return "byte " + std::to_string(at + static_cast<std::uint64_t>(differ.in1 - first.begin())) +
                       " of the EROFS file";
            if (some < one_.size())
                return Difference{};
        }
    }

private:
    Result<Difference> nodes(int wanted, int found, const std::string& name, const std::string& path) {
        struct stat one {};
        struct stat other {};
        if (::fstatat(wanted, name.c_str(), &one, AT_SYMLINK_NOFOLLOW) < 0 ||
            ::fstatat(found, name.c_str(), &other, AT_SYMLINK_NOFOLLOW) < 0)
            return fail(at_path(errno, path));
        if (auto difference = different_stat(path, one, other))
            return difference;
        if (S_ISLNK(one.st_mode) && TRY(link_target(wanted, name, path)) != TRY(link_target(found, name, path)))
            return differs(path, "where it leads");
        if (!S_ISDIR(one.st_mode) && !S_ISREG(one.st_mode))
            return Difference{};
        const UniqueFd first = open_readable(wanted, name);
        const UniqueFd second = open_readable(found, name);
        if (!first || !second)
            return fail(at_path(errno, path));
        return S_ISDIR(one.st_mode) ? folders(first.get(), second.get(), path) : files(first.get(), second.get(), path);
    }

    Result<Difference> files(int wanted, int found, const std::string& path) {
        if (TRY(read_xattrs(wanted)) != TRY(read_xattrs(found)))
            return differs(path, "its attributes");
        for (;;) {
            const std::size_t some = TRY(fill(wanted, one_, path));
            const std::size_t more = TRY(fill(found, other_, path));
            if (std::string_view{one_}.substr(0, some) != std::string_view{other_}.substr(0, more))
                return differs(path, "its content");
            if (some < one_.size())
                return Difference{};
        }
    }

    std::string one_ = std::string(1U << 17, '\0');
    std::string other_ = std::string(1U << 17, '\0');
};

} // namespace

Result<std::optional<std::string>> first_difference(int wanted, int found) {
    struct stat one {};
    struct stat other {};
    if (::fstat(wanted, &one) < 0 || ::fstat(found, &other) < 0)
        return fail(at_path(errno, "/"));
    if (S_ISREG(one.st_mode) && S_ISREG(other.st_mode))
        return Comparison{}.whole_files(wanted, found);
    if (auto difference = different_stat("/", one, other))
        return difference;
    return Comparison{}.folders(wanted, found, "/");
}

} // namespace ctrd::image
