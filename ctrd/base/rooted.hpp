// Paths inside a hostile rootfs. Every look-up is an openat2(2) below a folder descriptor with RESOLVE_IN_ROOT and
// RESOLVE_NO_MAGICLINKS: a symlink leads where it leads inside the container and never to the host.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

#include <cstdint>

namespace ctrd::rooted {

/// Raw openat2 below `root`; -1 and errno. Safe after clone(2): no allocation.
/// `stricter`: further RESOLVE_* bits, such as RESOLVE_NO_SYMLINKS.
int open_raw(int root, const char* path, std::uint64_t flags, std::uint64_t mode = 0,
             std::uint64_t stricter = 0) noexcept;

Result<UniqueFd> open(int root, const std::string& path, int flags, mode_t mode = 0);

/// A whole regular file, bounded; FIFOs and devices are refused without being opened for reading.
Result<std::string> read_file(int root, const std::string& path, std::size_t limit);

/// mkdir -p inside the root without ever leaving it: each component is opened before the next is made, so a symlink
/// exchanged meanwhile only moves the result inside the root. What a link leads to is made where it is missing. Returns
/// O_PATH of the last folder.
/// -1 and errno; safe after clone(2).
int make_dirs_raw(int root, const char* path, mode_t mode, std::uint64_t stricter = 0) noexcept;

/// The same for a file: its folders are made, then an empty file unless something is there.
int make_file_raw(int root, const char* path, mode_t mode, std::uint64_t stricter = 0) noexcept;

} // namespace ctrd::rooted
