// What a process would do about a signal, from its /proc/PID/status and /proc/PID/syscall.
#pragma once

#include "ctrd/base/result.hpp"

#include <sys/types.h>

#include <cstdint>

namespace ctrd {

struct Hearing {
    std::uint64_t blocked{0}; // bit N-1 for signal N
    std::uint64_t ignored{0};
    std::uint64_t caught{0};
    bool namespace_init{false}; // PID 1 of a pid namespace below ours: a signal's default action does not end it
};

/// From the text of /proc/PID/status.
Result<Hearing> parse_hearing(const std::string& status);
/// The same, and what its main thread waits for in sigwait(3): meanwhile the kernel shows that as not blocked.
Result<Hearing> read_hearing(pid_t pid);

/// A blocked signal counts: it waits for signalfd(2) or sigwait(3). So does the default action, where it works.
bool would_act_on(int signal, const Hearing& hearing) noexcept;

} // namespace ctrd
