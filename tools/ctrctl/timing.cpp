// timing: where the milliseconds of a container's last start went. It reads what ctr-run has left, so it works without
// ctrd; it is root's.
#include "tools/ctrctl/timing.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "config/config.hpp"
#include "ctrd/base/names.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace ctrd::ctl {
namespace {

constexpr std::size_t widest_bar = 40;
constexpr std::size_t unbounded_width = 100; // where stdout is no terminal

double milliseconds(std::chrono::microseconds time) { return static_cast<double>(time.count()) / 1000; }

std::string bar(std::chrono::microseconds part, std::chrono::microseconds longest, std::size_t width,
                const Look& look) {
    if (longest.count() == 0)
        return {};
    const auto eighths =
        static_cast<std::size_t>(part.count() * static_cast<std::int64_t>(width) * 8 / longest.count());
    std::string text;
    for (std::size_t i = 0; i < eighths / 8; ++i)
        text += look.utf8 ? "\u2588" : "#";
    if (look.utf8 && eighths % 8 != 0) // U+258F is an eighth, U+2589 seven
        text += fmt::format("\xe2\x96{}", static_cast<char>(0x90 - static_cast<int>(eighths % 8)));
    return text;
}

} // namespace

std::string timing_text(const std::string& name, const activation::Starts& starts, const Look& look) {
    std::size_t name_width = 0;
    std::chrono::microseconds longest{0};
    std::chrono::microseconds sum{0};
    for (const auto& step : starts.last_steps) {
        name_width = std::max(name_width, columns_of(step.name));
        longest = std::max(longest, step.took);
        sum += step.took;
    }
    const std::size_t width = look.width == 0 ? unbounded_width : look.width;
    const std::size_t bar_width = std::clamp<std::size_t>(width - std::min(width, name_width + 16), 4, widest_bar);
    std::string text =
        fmt::format("{}: last start, {:.1f} ms\n", styled(printable(name), Style::title, look), milliseconds(sum));
    for (const auto& step : starts.last_steps) {
        const std::string title = printable(step.name);
        text += fmt::format("  {}{} {:>8.2f} ms  {}\n", title, std::string(name_width - columns_of(step.name), ' '),
                            milliseconds(step.took), bar(step.took, longest, bar_width, look));
    }
    return text + fmt::format("  {} starts, {} failed; p50 {:.1f} ms, p90 {:.1f} ms, p99 {:.1f} ms of the last {}\n",
                              starts.succeeded, starts.failed, milliseconds(activation::percentile(starts.times, 0.5)),
                              milliseconds(activation::percentile(starts.times, 0.9)),
                              milliseconds(activation::percentile(starts.times, 0.99)), starts.times.size());
}

nlohmann::json timing_json(const std::string& name, const activation::Starts& starts) {
    auto steps = nlohmann::json::array();
    std::chrono::microseconds sum{0};
    for (const auto& step : starts.last_steps) {
        steps.push_back({{"name", step.name}, {"us", step.took.count()}});
        sum += step.took;
    }
    return {{"name", name},
            {"total_us", sum.count()},
            {"steps", std::move(steps)},
            {"starts", starts.succeeded},
            {"failed", starts.failed},
            {"p50_us", activation::percentile(starts.times, 0.5).count()},
            {"p90_us", activation::percentile(starts.times, 0.9).count()},
            {"p99_us", activation::percentile(starts.times, 0.99).count()}};
}

namespace {

/// Nothing: the reason was reported, and this is the exit code.
Outcome<activation::Starts> starts_of(const std::string& name) {
    const auto declared = config::list_compiled();
    auto starts = activation::read_starts(name);
    if (!starts && starts.error().code == std::errc::permission_denied)
        return refuse(exit_denied, Error{std::errc::permission_denied,
                                         "cannot read how container '" + name + "' started", "run it as root"});
    if (!starts)
        return refuse(exit_failure, starts.error());
    if (std::ranges::find(declared, name) == declared.end())
        return refuse(exit_no_container, Error{std::errc::no_such_process, "there is no container '" + name + "'",
                                               "'ctrctl list' shows those that are declared"});
    if (starts->last_steps.empty())
        return refuse(exit_failure, bad_input("container '" + name + "' has not been started since the machine was",
                                              "start it, or connect to it"));
    return *std::move(starts);
}

} // namespace

int timing(const TimingOptions& options) {
    if (auto good = check_names(options.names); !good)
        return report(good.error());
    int code = exit_ok;
    auto array = nlohmann::json::array();
    std::string text;
    for (const auto& name : options.names) {
        const auto starts = starts_of(name);
        if (!starts) {
            code = report(starts.error());
            continue;
        }
        array.push_back(timing_json(name, *starts));
        text += (text.empty() ? "" : "\n") + timing_text(name, *starts, look_of_stdout());
    }
    const Json json = json_of(options.json);
    const int printed = print(json == Json::off ? text : json_text(array, json));
    return code != exit_ok ? code : printed;
}

} // namespace ctrd::ctl
