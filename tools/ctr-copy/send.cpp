// Out of the container: a tar stream of one file or one tree, by its own name. Of what a hostile tree may hold only
// files, folders and links are copied, and no setuid bits: they are for a host.
#include "tools/ctr-copy/copy.hpp"

#include "ctrd/base/rooted.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <memory>

namespace ctrd::copy {
namespace {

constexpr unsigned deepest = 200; // each folder on the way down holds a descriptor

struct FreeArchive {
    void operator()(archive* handle) const noexcept { ::archive_write_free(handle); }
    void operator()(archive_entry* entry) const noexcept { ::archive_entry_free(entry); }
    void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};

class Sender {
public:
    Result<void> open();
    /// `name` below `parent`, as `shown` in the stream.
    Result<void> add(int parent, const std::string& name, const std::string& shown, unsigned depth);
    Result<void> close();

private:
    Result<void> add_link(int fd, const std::string& shown, const struct stat& st);
    Result<void> add_file(int parent, const std::string& name, const std::string& shown, const struct stat& st);
    Result<void> add_folder(int fd, const std::string& shown, const struct stat& st, unsigned depth);
    Result<void> header(const std::string& shown, const struct stat& st, const char* target);

    std::unique_ptr<archive, FreeArchive> out_{};
};

Result<void> Sender::open() {
    out_.reset(::archive_write_new());
    if (!out_ || ::archive_write_set_format_pax_restricted(out_.get()) != ARCHIVE_OK ||
        ::archive_write_set_bytes_in_last_block(out_.get(), 1) != ARCHIVE_OK ||
        ::archive_write_open_fd(out_.get(), STDOUT_FILENO) != ARCHIVE_OK)
        return fail(archive_failure(out_.get(), "cannot write the stream"));
    return {};
}

Result<void> Sender::close() {
    if (::archive_write_close(out_.get()) != ARCHIVE_OK)
        return fail(archive_failure(out_.get(), "cannot write the stream"));
    return {};
}

Result<void> Sender::header(const std::string& shown, const struct stat& st, const char* target) {
    const std::unique_ptr<archive_entry, FreeArchive> entry{::archive_entry_new()};
    ::archive_entry_set_pathname(entry.get(), shown.c_str());
    ::archive_entry_set_filetype(entry.get(), st.st_mode & S_IFMT);
    ::archive_entry_set_perm(entry.get(), st.st_mode & (S_ISDIR(st.st_mode) ? 01777U : 0777U));
    ::archive_entry_set_mtime(entry.get(), st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    ::archive_entry_set_size(entry.get(), S_ISREG(st.st_mode) ? st.st_size : 0);
    if (target != nullptr)
        ::archive_entry_set_symlink(entry.get(), target);
    if (::archive_write_header(out_.get(), entry.get()) < ARCHIVE_WARN)
        return fail(archive_failure(out_.get(), "'" + shown + "'"));
    return {};
}

Result<void> Sender::add_link(int fd, const std::string& shown, const struct stat& st) {
    char target[PATH_MAX];
    const ssize_t length = ::readlinkat(fd, "", target, sizeof target - 1);
    if (length < 0)
        return fail(os_error(errno, "'" + shown + "'"));
    target[length] = '\0';
    return header(shown, st, target);
}

/// Its size is promised in the header: what has grown meanwhile is cut, what has shrunk is filled with zeros.
Result<void> Sender::add_file(int parent, const std::string& name, const std::string& shown, const struct stat& st) {
    const UniqueFd fd{
        rooted::open_raw(parent, name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS)};
    struct stat now {};
    if (!fd || ::fstat(fd.get(), &now) < 0)
        return fail(os_error(errno, "'" + shown + "'"));
    if (!S_ISREG(now.st_mode))
        return {}; // exchanged meanwhile
    TRY_VOID(header(shown, now, nullptr));
    std::array<char, 65536> buffer{};
    for (auto left = static_cast<std::size_t>(now.st_size); left > 0;) {
        const ssize_t n = ::read(fd.get(), buffer.data(), std::min(left, buffer.size()));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(os_error(errno, "'" + shown + "'"));
        if (n == 0)
            return {}; // libarchive fills the entry
        if (::archive_write_data(out_.get(), buffer.data(), static_cast<std::size_t>(n)) < 0)
            return fail(archive_failure(out_.get(), "cannot write the stream"));
        left -= static_cast<std::size_t>(n);
    }
    static_cast<void>(st);
    return {};
}

Result<void> Sender::add_folder(int fd, const std::string& shown, const struct stat& st, unsigned depth) {
    TRY_VOID(header(shown, st, nullptr));
    if (depth >= deepest)
        return fail(os_error(ENAMETOOLONG, "'" + shown + "' is too deep to be copied"));
    UniqueFd readable{rooted::open_raw(fd, ".", O_RDONLY | O_DIRECTORY)};
    if (!readable)
        return fail(os_error(errno, "'" + shown + "'"));
    const std::unique_ptr<DIR, FreeArchive> dir{::fdopendir(readable.get())};
    if (!dir)
        return fail(os_error(errno, "'" + shown + "'"));
    static_cast<void>(readable.release()); // the DIR's
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != ".." && !name.contains('/'))
            TRY_VOID(add(fd, name, shown + "/" + name, depth + 1));
    }
    return {};
}

Result<void> Sender::add(int parent, const std::string& name, const std::string& shown, unsigned depth) {
    const UniqueFd fd{rooted::open_raw(parent, name.c_str(), O_PATH | O_NOFOLLOW)};
    struct stat st {};
    if (!fd || ::fstat(fd.get(), &st) < 0)
        return errno == ENOENT && depth > 0 ? Result<void>{}
                                            : fail(os_error(errno, "'" + shown + "' in the container"));
    if (S_ISLNK(st.st_mode))
        return add_link(fd.get(), shown, st);
    if (S_ISDIR(st.st_mode))
        return add_folder(fd.get(), shown, st, depth);
    if (S_ISREG(st.st_mode))
        return add_file(parent, name, shown, st);
    if (depth == 0)
        return fail(bad_input("'" + shown + "' is neither a file nor a folder nor a link"));
    return {};
}

} // namespace

Result<void> send(int root, const Request& request) {
    Sender sender;
    TRY_VOID(sender.open());
    std::string path = request.path;
    while (path.size() > 1 && path.ends_with('/'))
        path.pop_back();
    const std::size_t slash = path.rfind('/');
    const std::string name = path.substr(slash + 1);
    const UniqueFd parent{rooted::open_raw(root, path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY)};
    if (!parent)
        return fail(os_error(errno, "'" + request.path + "' in the container"));
    const bool whole = name.empty() || name == "." || name == "..";
    if (whole) {
        const UniqueFd folder{rooted::open_raw(root, path.c_str(), O_PATH | O_DIRECTORY)};
        if (!folder)
            return fail(os_error(errno, "'" + request.path + "' in the container"));
        TRY_VOID(sender.add(folder.get(), ".", ".", 0));
    } else {
        TRY_VOID(sender.add(parent.get(), name, name, 0));
    }
    return sender.close();
}

} // namespace ctrd::copy
