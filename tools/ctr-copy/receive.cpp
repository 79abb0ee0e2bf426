// Into the container: every file is made under a name of its own and then renamed, so that what was there, a link or a
// device as well as a file, is replaced and never written through. It all belongs to the container's root user.
#include "tools/ctr-copy/copy.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

namespace ctrd::copy {
namespace {

struct FreeArchive {
    void operator()(archive* handle) const noexcept { ::archive_read_free(handle); }
};
using Stream = std::unique_ptr<archive, FreeArchive>;

struct Place {
    UniqueFd folder{};
    std::string name{};
};

/// Where "/a/b" is to go: the folder is made, and looked up from the container's root as its programs would.
Result<Place> place_of(int root, const std::string& path) {
    const std::size_t slash = path.rfind('/');
    Place place{UniqueFd{rooted::make_dirs_raw(root, path.substr(0, slash + 1).c_str(), 0755)}, path.substr(slash + 1)};
    if (!place.folder)
        return fail(os_error(errno, "'" + path.substr(0, slash + 1) + "' in the container"));
    return place;
}

/// No part of an entry's name leads upwards; where it begins with "/", that is the destination.
Result<std::string> below(const std::string& folder, const char* entry) {
    std::string path = folder;
    std::string_view left = entry != nullptr ? entry : "";
    while (!left.empty()) {
        const auto end = std::min(left.find('/'), left.size());
        const std::string_view part = left.substr(0, end);
        if (part == "..")
            return fail(bad_input("'" + printable(entry) + "' leads upwards"));
        if (!part.empty() && part != ".")
            path += "/" + std::string{part};
        left.remove_prefix(std::min(end + 1, left.size()));
    }
    return path;
}

std::string new_name() {
    static unsigned counter = 0;
    return ".ctr-copy-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
}

/// Runs `fill` on a new file and puts it in its place.
template <class Fill> Result<void> replace_file(int root, const std::string& path, mode_t mode, Fill fill) {
    const Place place = TRY(place_of(root, path));
    const std::string temporary = new_name();
    UniqueFd file{
        ::openat(place.folder.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!file)
        return fail(os_error(errno, "cannot make a file in the folder of '" + path + "' in the container"));
    auto filled = fill(file.get());
    if (filled && ::fchmod(file.get(), mode) < 0)
        filled = fail(os_error(errno, "'" + path + "' in the container"));
    if (filled && ::renameat(place.folder.get(), temporary.c_str(), place.folder.get(), place.name.c_str()) < 0)
        filled = fail(os_error(errno, "'" + path + "' in the container"));
    if (!filled)
        ::unlinkat(place.folder.get(), temporary.c_str(), 0);
    return filled;
}

Result<void> make_link(int root, const std::string& path, const char* target) {
    const Place place = TRY(place_of(root, path));
    const std::string temporary = new_name();
    if (target == nullptr || ::symlinkat(target, place.folder.get(), temporary.c_str()) < 0)
        return fail(os_error(errno, "cannot make the link '" + path + "' in the container"));
    if (::renameat(place.folder.get(), temporary.c_str(), place.folder.get(), place.name.c_str()) == 0)
        return {};
    const int err = errno;
    ::unlinkat(place.folder.get(), temporary.c_str(), 0);
    return fail(os_error(err, "'" + path + "' in the container"));
}

Result<void> make_folder(int root, const std::string& path, mode_t mode) {
    const Place place = TRY(place_of(root, path));
    if (::mkdirat(place.folder.get(), place.name.c_str(), mode) == 0)
        return {};
    const int err = errno;
    const UniqueFd there{rooted::open_raw(root, path.c_str(), O_PATH | O_DIRECTORY)};
    return err == EEXIST && there ? Result<void>{} : fail(os_error(err, "'" + path + "' in the container"));
}

/// With its holes, also at its end.
Result<void> copy_data(archive* stream, int file, la_int64_t whole) {
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    for (;;) {
        const int r = ::archive_read_data_block(stream, &data, &size, &offset);
        if (r == ARCHIVE_EOF)
            return ::ftruncate(file, whole) == 0 ? Result<void>{} : fail(os_error(errno, "cannot write"));
        if (r < ARCHIVE_WARN)
            return fail(archive_failure(stream, "cannot read the stream"));
        if (::lseek(file, offset, SEEK_SET) < 0)
            return fail(os_error(errno, "cannot write"));
        TRY_VOID(write_all(file, {static_cast<const char*>(data), size}));
    }
}

Result<void> receive_entry(int root, const std::string& folder, archive* stream, archive_entry* entry) {
    const std::string path = TRY(below(folder, ::archive_entry_pathname(entry)));
    const mode_t mode = ::archive_entry_perm(entry) & 0777U;
    if (path == folder)
        return {}; // the destination itself
    if (::archive_entry_hardlink(entry) != nullptr)
        return fail(bad_input("the stream holds the hard link '" + printable(path) + "'",
                              "make it with 'tar --hard-dereference'"));
    switch (::archive_entry_filetype(entry)) {
    case AE_IFREG:
        return replace_file(root, path, mode,
                            [&](int file) { return copy_data(stream, file, ::archive_entry_size(entry)); });
    case AE_IFDIR:
        return make_folder(root, path, ::archive_entry_perm(entry) & 01777U); // /tmp is nothing without its sticky bit
    case AE_IFLNK:
        return make_link(root, path, ::archive_entry_symlink(entry));
    default:
        return fail(bad_input("the stream holds '" + printable(path) + "', which is no file, folder or link"));
    }
}

Result<void> receive_tar(int root, const std::string& folder) {
    const UniqueFd made{rooted::make_dirs_raw(root, folder.c_str(), 0755)};
    if (!made)
        return fail(os_error(errno, "'" + folder + "' in the container"));
    const Stream stream{::archive_read_new()};
    if (!stream || ::archive_read_support_format_tar(stream.get()) != ARCHIVE_OK ||
        ::archive_read_open_fd(stream.get(), STDIN_FILENO, 65536) != ARCHIVE_OK)
        return fail(archive_failure(stream.get(), "cannot read the stream"));
    for (;;) {
        archive_entry* entry = nullptr;
        const int r = ::archive_read_next_header(stream.get(), &entry);
        if (r == ARCHIVE_EOF)
            return {};
        if (r < ARCHIVE_WARN)
            return fail(archive_failure(stream.get(), "cannot read the stream"));
        TRY_VOID(receive_entry(root, folder, stream.get(), entry));
    }
}

Result<void> copy_stdin(int file) {
    std::array<char, 65536> buffer{};
    for (;;) {
        const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(os_error(errno, "cannot read"));
        if (n == 0)
            return {};
        TRY_VOID(write_all(file, {buffer.data(), static_cast<std::size_t>(n)}));
    }
}

} // namespace

Result<void> receive(int root, const Request& request) {
    std::string path = TRY(below("", request.path.c_str()));
    const UniqueFd folder{rooted::open_raw(root, request.path.c_str(), O_PATH | O_DIRECTORY)};
    if (folder && !request.name.empty())
        path += "/" + request.name;
    else if (!folder && request.path.ends_with('/'))
        return fail(os_error(errno, "'" + request.path + "' in the container"));
    if (!request.single)
        return receive_tar(root, path.empty() ? "/" : path);
    if (path.empty() || (folder && request.name.empty()))
        return fail(os_error(EISDIR, "'" + request.path + "' in the container"));
    return replace_file(root, path, request.mode, copy_stdin);
}

} // namespace ctrd::copy
