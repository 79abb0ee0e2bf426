#include "ctrd/base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

namespace ctrd {

Result<UniqueFd> open_at(int dir, const std::string& path, int flags, mode_t mode) {
    UniqueFd fd{::openat(dir, path.c_str(), flags | O_CLOEXEC, mode)};
    if (!fd)
        return fail(os_error(errno, "cannot open '" + path + "'"));
    return fd;
}

Result<std::string> read_all(int fd, std::size_t limit) {
    std::string data;
    char chunk[16384];
    for (;;) {
        const ssize_t n = ::read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(os_error(errno, "cannot read"));
        if (n == 0)
            return data;
        if (data.size() + static_cast<std::size_t>(n) > limit)
            return fail(os_error(EFBIG, "more than " + std::to_string(limit) + " bytes"));
        data.append(chunk, static_cast<std::size_t>(n));
    }
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
    // O_NONBLOCK: opening a FIFO must not wait for a writer that never comes.
    const UniqueFd fd = TRY(open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    struct stat st {};
    if (::fstat(fd.get(), &st) < 0)
        return fail(os_error(errno, "cannot look at '" + path + "'"));
    if (S_ISDIR(st.st_mode))
        return fail(os_error(EISDIR, "cannot read '" + path + "'"));
    if (!S_ISREG(st.st_mode))
        return fail(bad_input("'" + path + "' is not a regular file"));
    return read_all(fd.get(), limit).context("'" + path + "'");
}

Result<void> write_all(int fd, std::string_view data) {
    while (!data.empty()) {
        const ssize_t n = ::write(fd, data.data(), data.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(os_error(errno, "cannot write"));
        data.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

Result<void> write_control_at(int dir, const std::string& name, std::string_view value) {
    const UniqueFd fd = TRY(open_at(dir, name, O_WRONLY));
    if (::write(fd.get(), value.data(), value.size()) < 0)
        return fail(os_error(errno, "cannot write '" + std::string{value} + "' to '" + name + "'"));
    return {};
}

Result<void> write_control(const std::string& path, std::string_view value) {
    return write_control_at(AT_FDCWD, path, value);
}

namespace {

/// `file`, which has no name yet, becomes `path`. What is there already is replaced by way of one fixed second name:
/// at worst that stays behind, and the next one to write takes it over.
Result<void> give_name(int file, const std::string& path) {
    const std::string nameless = "/proc/self/fd/" + std::to_string(file);
    if (::linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0)
        return {};
    const std::string second = path + ".new";
    for (int attempt = 0; errno == EEXIST && attempt < 100; ++attempt) {
        if (::linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, second.c_str(), AT_SYMLINK_FOLLOW) < 0) {
            if (errno == EEXIST && ::unlink(second.c_str()) < 0 && errno == ENOENT)
                errno = EEXIST; // another writer was faster
            continue;
        }
        // ENOENT: another writer has renamed what was at `second`, and that was whole too.
        if (::rename(second.c_str(), path.c_str()) == 0 || errno == ENOENT)
            return {};
        const int err = errno;
        ::unlink(second.c_str());
        return fail(os_error(err, "cannot replace '" + path + "'"));
    }
    return fail(os_error(errno, "cannot make '" + path + "'"));
}

/// For file systems without nameless files.
Result<void> write_and_rename(const std::string& path, std::string_view data, mode_t mode) {
    const std::string temporary = path + ".new";
    {
        const UniqueFd fd = TRY(open_at(AT_FDCWD, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
        auto written = write_all(fd.get(), data).context("'" + temporary + "'");
        if (!written || ::fchmod(fd.get(), mode) < 0) {
            ::unlink(temporary.c_str());
            return written ? fail(os_error(errno, "cannot set the mode of '" + temporary + "'")) : written;
        }
    }
    if (::rename(temporary.c_str(), path.c_str()) < 0) {
        const int err = errno;
        ::unlink(temporary.c_str());
        return fail(os_error(err, "cannot replace '" + path + "'"));
    }
    return {};
}

} // namespace

Result<void> write_atomic(const std::string& path, std::string_view data, mode_t mode) {
    const auto slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    const UniqueFd fd{::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode)};
    if (!fd && (errno == EOPNOTSUPP || errno == EISDIR))
        return write_and_rename(path, data, mode);
    if (!fd)
        return fail(os_error(errno, "cannot make '" + path + "'"));
    TRY_VOID(write_all(fd.get(), data).context("'" + path + "'"));
    if (::fchmod(fd.get(), mode) < 0)
        return fail(os_error(errno, "cannot set the mode of '" + path + "'"));
    return give_name(fd.get(), path);
}

Result<void> make_dirs(const std::string& path, mode_t mode) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        const std::string parent = path.substr(0, slash);
        if (::mkdir(parent.c_str(), 0755) < 0 && errno != EEXIST)
            return fail(os_error(errno, "cannot make the folder '" + parent + "'"));
    }
    if (::mkdir(path.c_str(), mode) < 0 && errno != EEXIST)
        return fail(os_error(errno, "cannot make the folder '" + path + "'"));
    if (::chmod(path.c_str(), mode) < 0)
        return fail(os_error(errno, "cannot set the mode of '" + path + "'"));
    return {};
}

} // namespace ctrd
