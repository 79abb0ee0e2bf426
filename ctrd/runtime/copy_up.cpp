#include "ctrd/runtime/copy_up.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

namespace ctrd::runtime {
namespace {

constexpr int max_depth = 64; // of folders; each level has its buffer on the stack

class Fd { // as UniqueFd, for code that may not throw away errno
public:
    explicit Fd(int fd) noexcept : fd_{fd} {}
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() {
        const int err = errno;
        if (fd_ >= 0)
            ::close(fd_);
        errno = err;
    }
    [[nodiscard]] int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

private:
    int fd_;
};

int copy_content(int from, int to, off_t size) noexcept {
    for (off_t done = 0; done < size;) {
        const ssize_t n = ::sendfile(to, from, &done, static_cast<std::size_t>(size - done));
        if (n < 0)
            return errno;
        if (n == 0)
            break; // it became shorter meanwhile
    }
    return 0;
}

/// What tmpfs can hold of them: file capabilities and ACLs matter, the rest may be refused.
void copy_attributes(int from, int to) noexcept {
    char names[4096];
    char value[4096];
    const ssize_t length = ::flistxattr(from, names, sizeof names);
    for (ssize_t at = 0; at < length; at += static_cast<ssize_t>(std::strlen(names + at)) + 1)
        if (const ssize_t size = ::fgetxattr(from, names + at, value, sizeof value); size >= 0)
            ::fsetxattr(to, names + at, value, static_cast<std::size_t>(size), 0);
}

/// Owner before mode: chown(2) takes the setuid bit away.
int copy_identity(int to, const struct stat& st) noexcept {
    const timespec times[2] = {st.st_atim, st.st_mtim};
    return ::fchown(to, st.st_uid, st.st_gid) < 0 || ::fchmod(to, st.st_mode & 07777) < 0 || ::futimens(to, times) < 0
               ? errno
               : 0;
}

int copy_file(int from, int to, const char* name) noexcept {
    const Fd source{::openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
    struct stat st {};
    if (!source || ::fstat(source.get(), &st) < 0)
        return errno;
    if (!S_ISREG(st.st_mode))
        return 0; // exchanged meanwhile
    const Fd copy{::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!copy)
        return errno;
    if (const int err = copy_content(source.get(), copy.get(), st.st_size); err != 0)
        return err;
    copy_attributes(source.get(), copy.get());
    return copy_identity(copy.get(), st);
}

int copy_link(int from, int to, const char* name, const struct stat& st) noexcept {
    char target[PATH_MAX];
    const ssize_t length = ::readlinkat(from, name, target, sizeof target - 1);
    if (length < 0)
        return errno;
    target[length] = '\0';
    return ::symlinkat(target, to, name) < 0 || ::fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0
               ? errno
               : 0;
}

int copy_folder(int from, int to, int depth) noexcept;

int copy_subfolder(int from, int to, const char* name, int depth) noexcept {
    const Fd source{::openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    struct stat st {};
    if (!source || ::fstat(source.get(), &st) < 0 || ::mkdirat(to, name, 0700) < 0)
        return errno;
    const Fd copy{::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!copy)
        return errno;
    if (const int err = copy_folder(source.get(), copy.get(), depth); err != 0)
        return err;
    copy_attributes(source.get(), copy.get());
    return copy_identity(copy.get(), st);
}

int copy_entry(int from, int to, const char* name, int depth) noexcept {
    struct stat st {};
    if (::fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : errno;
    switch (st.st_mode & S_IFMT) {
    case S_IFDIR:
        return depth >= max_depth ? ELOOP : copy_subfolder(from, to, name, depth + 1);
    case S_IFREG:
        return copy_file(from, to, name);
    case S_IFLNK:
        return copy_link(from, to, name, st);
    default:
        return 0; // devices, sockets and pipes are nobody's content
    }
}

int copy_folder(int from, int to, int depth) noexcept {
    alignas(dirent64) char buffer[4096];
    while (true) {
        const long length = ::syscall(SYS_getdents64, from, buffer, sizeof buffer);
        if (length <= 0)
            return length < 0 ? errno : 0;
        for (long at = 0; at < length;) {
            const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
            at += entry->d_reclen;
            const char* name = entry->d_name;
            if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0)
                continue;
            if (const int err = copy_entry(from, to, name, depth); err != 0)
                return err;
        }
    }
}

} // namespace

int copy_up(int from, int to, bool identity) noexcept {
    const Fd source{::openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    const Fd copy{::openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct stat st {};
    struct statfs fs {};
    if (!source || !copy || ::fstat(source.get(), &st) < 0 || ::fstatfs(source.get(), &fs) < 0)
        return errno;
    // An image may have a link there that leads into them: what is read there has effects, or no end.
    if (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC)
        return ELOOP;
    if (const int err = copy_folder(source.get(), copy.get(), 0); err != 0)
        return err;
    return identity ? copy_identity(copy.get(), st) : 0;
}

} // namespace ctrd::runtime
