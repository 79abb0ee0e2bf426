#include "ctrd/activation/starts.hpp"

#include "ctrd/activation/compiled.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace ctrd::activation {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::size_t largest_file = 256U << 10;
constexpr std::size_t most_times = 200;
constexpr std::size_t most_reasons = 5;
constexpr std::size_t longest_reason = 500;
constexpr microseconds short_run = 2s;       // who ends badly within this time has not really started
constexpr microseconds forgiven_after = 60s; // what was that long ago says nothing of the next start
constexpr milliseconds first_pause = 100ms;
constexpr milliseconds longest_pause = 3s;
constexpr std::uint32_t crashes_to_refuse = 3;

std::string path_of(std::string_view container) { return compiled_folder(container) + "/starts.json"; }

microseconds time_of(const json& value) { return microseconds{value.get<std::int64_t>()}; }

template <class T> void keep_last(std::vector<T>& list, std::size_t most) {
    if (list.size() > most)
        list.erase(list.begin(), list.end() - static_cast<std::ptrdiff_t>(most));
}

} // namespace

std::string to_json(const Starts& starts) {
    json times = json::array();
    for (const auto time : starts.times)
        times.push_back(time.count());
    json reasons = json::array();
    for (const auto& failed : starts.reasons)
        reasons.push_back({{"when", failed.when}, {"reason", failed.reason}});
    json steps = json::array();
    for (const auto& step : starts.last_steps)
        steps.push_back({{"name", step.name}, {"us", step.took.count()}});
    const json value{{"succeeded", starts.succeeded},
                     {"failed", starts.failed},
                     {"last_failed", starts.last_failed},
                     {"last_ready", starts.last_ready.count()},
                     {"bad_ends", starts.bad_ends},
                     {"last_bad_end", starts.last_bad_end.count()},
                     {"times_us", std::move(times)},
                     {"reasons", std::move(reasons)},
                     {"last_steps", std::move(steps)},
                     {"fallen_back", starts.fallen_back},
                     {"fallen_back_config", starts.fallen_back_config}};
    return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<Starts> parse_starts(std::string_view text) {
    try {
        const json value = json::parse(text);
        Starts starts;
        starts.succeeded = value.at("succeeded").get<std::uint64_t>();
        starts.failed = value.at("failed").get<std::uint64_t>();
        starts.last_failed = value.at("last_failed").get<bool>();
        starts.last_ready = time_of(value.at("last_ready"));
        starts.bad_ends = value.at("bad_ends").get<std::uint32_t>();
        starts.last_bad_end = time_of(value.at("last_bad_end"));
        for (const json& time : value.at("times_us"))
            starts.times.push_back(time_of(time));
        for (const json& failed : value.at("reasons"))
            starts.reasons.push_back({failed.at("when").get<std::uint64_t>(), failed.at("reason").get<std::string>()});
        for (const json& step : value.at("last_steps"))
            starts.last_steps.push_back({step.at("name").get<std::string>(), time_of(step.at("us"))});
        starts.fallen_back = value.value("fallen_back", std::vector<std::string>{});
        starts.fallen_back_config = value.value("fallen_back_config", std::uint64_t{0});
        return starts;
    } catch (const json::exception& error) {
        return fail(bad_input("not a record of starts: " + std::string{error.what()}));
    }
}

Result<Starts> read_starts(std::string_view container) {
    TRY_VOID(check_container_name(container));
    const auto text = read_file(path_of(container), largest_file);
    if (!text && text.error().code == std::errc::no_such_file_or_directory)
        return Starts{};
    if (!text)
        return fail(text.error());
    return parse_starts(*text).context("'" + path_of(container) + "'");
}

Result<void> write_starts(std::string_view container, const Starts& starts) {
    TRY_VOID(check_container_name(container));
    auto written = write_atomic(path_of(container), to_json(starts), 0600);
    if (!written && written.error().code == std::errc::no_such_file_or_directory)
        return {};
    return written;
}

void add_success(Starts& starts, std::vector<StartStep> steps, microseconds now) {
    ++starts.succeeded;
    starts.last_failed = false;
    starts.last_ready = now;
    microseconds sum{0};
    for (const auto& step : steps)
        sum += step.took;
    starts.times.push_back(sum);
    keep_last(starts.times, most_times);
    starts.last_steps = std::move(steps);
}

void add_failure(Starts& starts, std::string reason, std::uint64_t when) {
    ++starts.failed;
    starts.last_failed = true;
    reason.resize(std::min(reason.size(), longest_reason));
    starts.reasons.push_back({when, std::move(reason)});
    keep_last(starts.reasons, most_reasons);
}

void add_end(Starts& starts, bool success, microseconds now) {
    const bool bad = starts.last_failed || (!success && now - starts.last_ready < short_run);
    if (!bad || now - starts.last_bad_end > forgiven_after)
        starts.bad_ends = 0;
    if (!bad)
        return;
    ++starts.bad_ends;
    starts.last_bad_end = now;
}

milliseconds pause_before_next(const Starts& starts) {
    if (starts.bad_ends < 2)
        return 0ms;
    const auto doublings = std::min<std::uint32_t>(starts.bad_ends - 2, 10);
    return std::min(longest_pause, first_pause * (1 << doublings));
}

bool should_refuse(const Starts& starts) {
    return starts.bad_ends > 0 && (starts.last_failed || starts.bad_ends >= crashes_to_refuse);
}

microseconds percentile(std::vector<microseconds> times, double part) {
    if (times.empty())
        return 0us;
    std::ranges::sort(times);
    const auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(times.size())));
    return times[std::clamp<std::size_t>(rank, 1, times.size()) - 1];
}

} // namespace ctrd::activation
