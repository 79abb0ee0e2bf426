// /run/ctrd/compiled/NAME/starts.json: how a declared container's starts went, and where the time of the last one went.
// Written by ctr-run when the payload is ready or has failed, so never on the way of a connection; gone with the
// declaration.
#pragma once

#include "ctrd/base/result.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace ctrd::activation {

/// One part of a start, in its order.
struct StartStep {
    std::string name{};
    std::chrono::microseconds took{0};
};

struct FailedStart {
    std::uint64_t when{0}; // CLOCK_REALTIME, microseconds
    std::string reason{};
};

struct Starts {
    std::uint64_t succeeded{0};
    std::uint64_t failed{0};
    bool last_failed{false};
    std::chrono::microseconds last_ready{0}; // CLOCK_BOOTTIME
    std::uint32_t bad_ends{0};               // in a row: failed starts, and crashes just after one
    std::chrono::microseconds last_bad_end{0};
    std::vector<std::chrono::microseconds> times{}; // of the last ones that succeeded
    std::vector<FailedStart> reasons{};             // the last ones
    std::vector<StartStep> last_steps{};            // of the last one that succeeded
    std::vector<std::string> fallen_back{};         // sockets with deliver = "auto" that are proxied
    std::uint64_t fallen_back_config{0};            // with which that was learnt
};

Result<Starts> parse_starts(std::string_view json);
std::string to_json(const Starts& starts);

/// None yet: all is zero.
Result<Starts> read_starts(std::string_view container);
/// Nothing where the container is not declared any more.
Result<void> write_starts(std::string_view container, const Starts& starts);

void add_success(Starts& starts, std::vector<StartStep> steps, std::chrono::microseconds now);
void add_failure(Starts& starts, std::string reason, std::uint64_t when);
/// How the run ended, `success` or not. A failed start and a crash within moments of a good one are bad ends.
void add_end(Starts& starts, bool success, std::chrono::microseconds now);

/// How long the next start is put off: not after a single bad end, longer with each further one in a row.
std::chrono::milliseconds pause_before_next(const Starts& starts);
/// Whether those who wait are told so: they would get no answer for a while.
bool should_refuse(const Starts& starts);

/// The time under which this part (0..1) of the starts was; 0 where there were none.
std::chrono::microseconds percentile(std::vector<std::chrono::microseconds> times, double part);

} // namespace ctrd::activation
