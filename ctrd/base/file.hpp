// Whole small files: bounded reads, atomic writes. Only for paths that we own; a rootfs has `rooted.hpp`.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

namespace ctrd {

/// open(2) with O_CLOEXEC added; relative to `dir` unless the path is absolute.
Result<UniqueFd> open_at(int dir, const std::string& path, int flags, mode_t mode = 0);

/// Everything `fd` has, refused above `limit` bytes. Regular files, pipes and /proc files alike.
Result<std::string> read_all(int fd, std::size_t limit);

/// A file's content. Never blocks on a FIFO and never follows the reader into a device: anything but a regular
/// file is refused (files of /proc and /sys are regular).
Result<std::string> read_file(const std::string& path, std::size_t limit = 1 << 20);

Result<void> write_all(int fd, std::string_view data);

/// One write(2) to a file that exists, as /proc, /sys and cgroup files want it.
Result<void> write_control(const std::string& path, std::string_view value);
Result<void> write_control_at(int dir, const std::string& name, std::string_view value);

/// A file without a name, then its name at once: readers see the old content or the new, whole, also after SIGKILL,
/// and where nothing was before nothing else is ever left. No fsync: for /run.
Result<void> write_atomic(const std::string& path, std::string_view data, mode_t mode);

/// mkdir -p; the last folder gets exactly `mode`, also if it existed.
Result<void> make_dirs(const std::string& path, mode_t mode);

} // namespace ctrd
