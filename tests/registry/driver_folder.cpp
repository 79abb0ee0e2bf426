#include "tests/registry/driver_folder.hpp"

#include "ctrd/base/fd.hpp"
#include "ctrd/base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace ctrd::driver {
namespace {

/// What an earlier process has left of a blob is hashed again: nothing but its bytes is believed.
Result<void> read_part(int file, registry::BlobProgress& progress) {
    std::array<char, 65536> buffer{};
    for (;;) {
        const ssize_t got = ::read(file, buffer.data(), buffer.size());
        if (got < 0)
            return fail(os_error(errno, "cannot read a part of a blob"));
        if (got == 0)
            return {};
        TRY_VOID(progress.add({buffer.data(), static_cast<std::size_t>(got)}));
    }
}

} // namespace

std::string Folder::blob_path(const Descriptor& blob) const { return path_ + "/blobs/" + blob.digest.hex(); }

Result<void> Folder::prepare() const { return make_dirs(path_ + "/blobs", 0755); }

bool Folder::has(const Descriptor& blob) const { return ::access(blob_path(blob).c_str(), F_OK) == 0; }

Result<std::uint64_t> Folder::fetch(registry::Located& from, const Descriptor& blob,
                                    const std::stop_token& stop) const {
    if (has(blob))
        return std::uint64_t{0};
    const std::string part = blob_path(blob) + ".part";
    const UniqueFd file = TRY(open_at(AT_FDCWD, part, O_RDWR | O_CREAT, 0644));
    registry::BlobProgress progress{blob};
    if (auto known = read_part(file.get(), progress); !known) {
        ::unlink(part.c_str());
        return fail(std::move(known).error());
    }
    const std::uint64_t before = progress.done();
    auto fetched = from.fetch_blob(
        progress, [&](std::string_view data) { return write_all(file.get(), data); }, stop);
    if (!fetched && fetched.error().code == std::errc::bad_message)
        ::unlink(part.c_str()); // wrong from here on, whoever asks
    TRY_VOID(std::move(fetched));
    if (::rename(part.c_str(), blob_path(blob).c_str()) < 0)
        return fail(os_error(errno, "cannot rename '" + part + "'"));
    return progress.done() - before;
}

Result<bool> Folder::push(registry::Repository& to, const Descriptor& blob, const std::string& elsewhere,
                          const std::stop_token& stop) const {
    const UniqueFd file = TRY(open_at(AT_FDCWD, blob_path(blob), O_RDONLY));
    return to.push_blob(
        blob,
        [&](std::uint64_t offset, std::span<char> buffer) -> Result<std::size_t> {
            const ssize_t got = ::pread(file.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
            if (got < 0)
                return fail(os_error(errno, "cannot read a blob"));
            return static_cast<std::size_t>(got);
        },
        elsewhere, stop);
}

Result<void> Folder::write_manifest(const std::string& text) const {
    return write_atomic(path_ + "/manifest.json", text, 0644);
}

Result<std::string> Folder::read_manifest() const { return read_file(path_ + "/manifest.json"); }

} // namespace ctrd::driver
