#include "ctrd/base/rooted.hpp"

#include "ctrd/base/file.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

namespace ctrd::rooted {
namespace {

/// Copies the next component of `*path` into `name` and moves on. 0 at the end, -1 if a component is too long.
int next_component(const char** path, char (&name)[NAME_MAX + 1]) noexcept {
    while (**path == '/')
        ++*path;
    std::size_t length = 0;
    while ((*path)[length] != '\0' && (*path)[length] != '/')
        ++length;
    if (length == 0)
        return 0;
    if (length > NAME_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    std::memcpy(name, *path, length);
    name[length] = '\0';
    *path += length;
    return 1;
}

} // namespace

int open_raw(int root, const char* path, std::uint64_t flags, std::uint64_t mode, std::uint64_t stricter) noexcept {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.mode = mode;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | stricter;
    for (int attempt = 0;; ++attempt) {
        // EAGAIN: a rename raced with the resolution of "..". The attacker may keep that up, so try only so often.
        const auto fd = static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || attempt == 32)
            return fd;
    }
}

Result<UniqueFd> open(int root, const std::string& path, int flags, mode_t mode) {
    UniqueFd fd{open_raw(root, path.c_str(), static_cast<std::uint64_t>(flags), mode)};
    if (!fd)
        return fail(os_error(errno, "cannot open '" + path + "' in the container"));
    return fd;
}

Result<std::string> read_file(int root, const std::string& path, std::size_t limit) {
    const UniqueFd fd = TRY(open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    struct stat st {};
    if (::fstat(fd.get(), &st) < 0)
        return fail(os_error(errno, "cannot look at '" + path + "' in the container"));
    if (!S_ISREG(st.st_mode))
        return fail(bad_input("'" + path + "' in the container is not a regular file"));
    return read_all(fd.get(), limit).context("'" + path + "' in the container");
}

namespace {

/// Links that lead to nothing yet, one after the other: fewer than the kernel follows.
constexpr int most_links = 8;

/// Where the link `name` in `parent` leads, as a path from the root; `path` is the link's own. 0 or an errno.
int link_target(int parent, const char* name, const char* path, char (&target)[PATH_MAX]) noexcept {
    char link[PATH_MAX];
    const ssize_t length = ::readlinkat(parent, name, link, sizeof link - 1);
    if (length <= 0)
        return length < 0 && errno != EINVAL ? errno : ENOENT; // EINVAL: no link any more
    link[length] = '\0';
    const char* slash = std::strrchr(path, '/');
    const std::size_t folder = link[0] == '/' || slash == nullptr ? 0 : static_cast<std::size_t>(slash - path) + 1;
    if (folder + static_cast<std::size_t>(length) >= sizeof target)
        return ENAMETOOLONG;
    std::memcpy(target, path, folder);
    std::memcpy(target + folder, link, static_cast<std::size_t>(length) + 1);
    return 0;
}

int make_dirs(int root, const char* path, mode_t mode, std::uint64_t stricter, int links) noexcept;

/// The folder that a dangling link in `parent` leads to; -1 and errno.
int make_target(int root, int parent, const char* name, const char* path, mode_t mode, int links) noexcept {
    char target[PATH_MAX];
    if (const int err = links == most_links ? ELOOP : link_target(parent, name, path, target); err != 0) {
        errno = err;
        return -1;
    }
    return make_dirs(root, target, mode, 0, links + 1);
}

int make_dirs(int root, const char* path, mode_t mode, std::uint64_t stricter, int links) noexcept {
    // The common case: it is there.
    if (const int there = open_raw(root, path, O_PATH | O_DIRECTORY, 0, stricter); there >= 0 || errno != ENOENT)
        return there;
    // Walk with a growing prefix, always resolved from the root, so ".." and links mean what they mean inside.
    char prefix[PATH_MAX] = "";
    std::size_t length = 0;
    int parent = open_raw(root, "/", O_PATH | O_DIRECTORY);
    char name[NAME_MAX + 1];
    int more = 0;
    while (parent >= 0 && (more = next_component(&path, name)) > 0) {
        const std::size_t added = std::strlen(name) + 1;
        if (length + added >= sizeof prefix) {
            errno = ENAMETOOLONG;
            more = -1;
            break;
        }
        prefix[length] = '/';
        std::memcpy(prefix + length + 1, name, added);
        length += added;
        int next = open_raw(root, prefix, O_PATH | O_DIRECTORY, 0, stricter);
        if (next < 0 && errno == ENOENT) {
            if (::mkdirat(parent, name, mode) == 0 || errno == EEXIST)
                next = open_raw(root, prefix, O_PATH | O_DIRECTORY, 0, stricter);
            // A link to what is not there (yet): images have such as /var/run. Followed inside the root, like any
            // other.
            if (next < 0 && errno == ENOENT)
                next = make_target(root, parent, name, prefix, mode, links);
        }
        const int err = errno;
        ::close(parent);
        parent = next;
        errno = err;
    }
    if (more < 0 && parent >= 0) {
        const int err = errno;
        ::close(parent);
        errno = err;
        return -1;
    }
    return parent;
}

int make_file(int root, const char* path, mode_t mode, std::uint64_t stricter, int links) noexcept {
    if (const int there = open_raw(root, path, O_PATH, 0, stricter); there >= 0 || errno != ENOENT)
        return there;
    char folder[PATH_MAX];
    const char* slash = std::strrchr(path, '/');
    const char* name = slash == nullptr ? path : slash + 1;
    const std::size_t length = slash == nullptr ? 0 : static_cast<std::size_t>(slash - path);
    if (length >= sizeof folder || *name == '\0') {
        errno = *name == '\0' ? EISDIR : ENAMETOOLONG;
        return -1;
    }
    std::memcpy(folder, path, length);
    folder[length] = '\0';
    const int parent =
        length == 0 ? open_raw(root, "/", O_PATH | O_DIRECTORY) : make_dirs(root, folder, 0755, stricter, links);
    if (parent < 0)
        return -1;
    // O_EXCL|O_NOFOLLOW: what is made is ours; if something came between, the look-up below judges it.
    const int made = ::openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    int err = made < 0 && errno != EEXIST ? errno : 0;
    if (made >= 0)
        ::close(made);
    int there = err == 0 ? open_raw(root, path, O_PATH, 0, stricter) : -1;
    // A link to what is not there (yet), as many images have it for /etc/resolv.conf.
    if (err == 0 && there < 0 && errno == ENOENT) {
        char target[PATH_MAX];
        err = links == most_links ? ELOOP : link_target(parent, name, path, target);
        there = err == 0 ? make_file(root, target, mode, stricter, links + 1) : -1;
    }
    err = err != 0 ? err : errno;
    ::close(parent);
    errno = err;
    return there;
}

} // namespace

int make_dirs_raw(int root, const char* path, mode_t mode, std::uint64_t stricter) noexcept {
    return make_dirs(root, path, mode, stricter, 0);
}

int make_file_raw(int root, const char* path, mode_t mode, std::uint64_t stricter) noexcept {
    return make_file(root, path, mode, stricter, 0);
}

} // namespace ctrd::rooted
