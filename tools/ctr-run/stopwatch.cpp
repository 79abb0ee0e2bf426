#include "tools/ctr-run/stopwatch.hpp"

#include "ctrd/activation/traffic.hpp"

#include <ctime>

namespace ctrd::run {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::nanoseconds;

std::uint64_t read_clock(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

microseconds between(std::uint64_t from, std::uint64_t to) {
    return duration_cast<microseconds>(nanoseconds{to > from ? to - from : 0});
}

} // namespace

void Stopwatch::restart(const char* name) {
    before_ = name;
    begin_ = read_clock(CLOCK_MONOTONIC);
    count_ = 0;
}

void Stopwatch::lap(const char* name) {
    if (count_ < laps_.size())
        laps_[count_++] = {name, read_clock(CLOCK_MONOTONIC)};
}

std::vector<activation::StartStep> Stopwatch::steps(std::uint64_t connected) const {
    std::vector<activation::StartStep> result;
    if (connected != 0 && connected < begin_)
        result.push_back({before_, between(connected, begin_)});
    std::uint64_t before = begin_;
    for (std::size_t i = 0; i < count_; ++i) {
        result.push_back({laps_[i].name, between(before, laps_[i].at)});
        before = laps_[i].at;
    }
    return result;
}

microseconds boot_time() { return between(0, read_clock(CLOCK_BOOTTIME)); }

Result<void> keep_success(const std::string& name, const Stopwatch& watch, std::uint64_t socket_cgroup) {
    // Where nobody counts, nobody knows when the connection came.
    const auto connected = socket_cgroup == 0 ? Result<std::uint64_t>{0} : activation::take_first(socket_cgroup);
    auto starts = TRY(activation::read_starts(name));
    activation::add_success(starts, watch.steps(connected ? *connected : 0), boot_time());
    return activation::write_starts(name, starts);
}

Result<void> keep_failure(const std::string& name, const Error& error) {
    auto starts = TRY(activation::read_starts(name));
    activation::add_failure(starts, error.message, read_clock(CLOCK_REALTIME) / 1000);
    return activation::write_starts(name, starts);
}

} // namespace ctrd::run
