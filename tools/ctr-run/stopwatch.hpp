// Where the time of a start goes: a few looks at the clock on the way, told when it is over.
#pragma once

#include "ctrd/activation/starts.hpp"

#include <array>

namespace ctrd::run {

class Stopwatch {
public:
    Stopwatch() { restart("systemd sees the connection, runs ctr-run"); }
    /// What came before is nobody's waiting. `name`: of the part from the connection until now.
    void restart(const char* name);
    /// `name`: what was done since the lap before; kept by its address.
    void lap(const char* name);

    /// `connected`: when the connection came that this start is for, CLOCK_MONOTONIC in nanoseconds; 0: none did, or
    /// nobody knows.
    [[nodiscard]] std::vector<activation::StartStep> steps(std::uint64_t connected) const;

private:
    struct Lap {
        const char* name{nullptr};
        std::uint64_t at{0};
    };
    const char* before_{nullptr};
    std::uint64_t begin_{0};
    std::array<Lap, 12> laps_{};
    std::size_t count_{0};
};

/// CLOCK_BOOTTIME.
std::chrono::microseconds boot_time();

/// Into the container's record of starts.
Result<void> keep_success(const std::string& name, const Stopwatch& watch, std::uint64_t socket_cgroup);
Result<void> keep_failure(const std::string& name, const Error& error);

} // namespace ctrd::run
