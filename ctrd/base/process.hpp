// Processes by pidfd: a number that is reused can't be mistaken for the process that was meant.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

#include <csignal>
#include <cstdint>

namespace ctrd {

Result<UniqueFd> open_pidfd(pid_t pid);
/// In our own pid namespace. ESRCH: it has been reaped, or is of a namespace that we don't see into; EBADF: no pidfd.
Result<pid_t> pid_of(int pidfd);
/// ESRCH as an error means that it is gone.
Result<void> send_signal(int pidfd, int signal);
/// What a program passes on to the process that it stands for: all but what is about itself.
sigset_t forwardable_signals();
/// A descriptor (CLOEXEC) of another process for the same open file.
Result<UniqueFd> steal_fd(int pidfd, int fd);

/// Waits for a child: its exit code, or 128 + signal. For a child made with exit_signal 0 too (__WALL).
Result<int> wait_exit(pid_t pid);

/// Of /proc/PID/stat.
struct ProcessStat {
    char state{'?'};             // 'Z' and 'X': it has ended
    std::uint64_t start_time{0}; // clock ticks after boot; together with the pid it names one process for good
};
Result<ProcessStat> process_stat(pid_t pid);
Result<std::uint64_t> start_time(pid_t pid);

/// Root of the host, not of a user namespace (as rootless Podman's runtime is).
bool is_host_root() noexcept;

/// The path after "0::" in /proc/PID/cgroup; v1 lines are passed over.
Result<std::string> cgroup_of(pid_t pid);
/// The mount point of the unified hierarchy: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a hybrid host.
Result<std::string> cgroup_mount();

/// The caught-signal mask (SigCgt) of /proc/PID/status: bit N-1 for signal N.
Result<std::uint64_t> caught_signals(pid_t pid);

} // namespace ctrd
