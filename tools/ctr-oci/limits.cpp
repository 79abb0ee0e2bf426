#include "tools/ctr-oci/limits.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace ctrd::ctr_oci {
namespace {

using Json = nlohmann::json;

enum class Kind { number, size, text };
struct Limit {
    std::string_view option;
    const char* object;
    const char* property;
    Kind kind;
};
constexpr std::array known{
    Limit{"blkio-weight", "blockIO", "weight", Kind::number},
    Limit{"cpu-period", "cpu", "period", Kind::number},
    Limit{"cpu-quota", "cpu", "quota", Kind::number},
    Limit{"cpu-burst", "cpu", "burst", Kind::number},
    Limit{"cpu-share", "cpu", "shares", Kind::number},
    Limit{"cpu-idle", "cpu", "idle", Kind::number},
    Limit{"cpu-rt-period", "cpu", "realtimePeriod", Kind::number},
    Limit{"cpu-rt-runtime", "cpu", "realtimeRuntime", Kind::number},
    Limit{"cpuset-cpus", "cpu", "cpus", Kind::text},
    Limit{"cpuset-mems", "cpu", "mems", Kind::text},
    Limit{"memory", "memory", "limit", Kind::size},
    Limit{"memory-reservation", "memory", "reservation", Kind::size},
    Limit{"memory-swap", "memory", "swap", Kind::size},
    Limit{"kernel-memory", "memory", "kernel", Kind::size},
    Limit{"kernel-memory-tcp", "memory", "kernelTCP", Kind::size},
    Limit{"pids-limit", "pids", "limit", Kind::number},
};

Result<std::int64_t> parse_number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || err != std::errc{} || end != text.data() + text.size())
        return fail(bad_input("'" + std::string{text} + "' is not a whole number"));
    return value;
}

Result<Json> to_json(const Limit& limit, const std::string& value) {
    if (limit.kind == Kind::text)
        return Json(value);
    return Json(TRY(limit.kind == Kind::size ? parse_size(value) : parse_number(value)));
}

} // namespace

Result<std::int64_t> parse_size(std::string_view text) {
    if (text == "-1")
        return -1;
    const auto wrong = [&] { return fail(bad_input("'" + std::string{text} + "' is not a size", "512M, 2g, or -1")); };
    double number = 0;
    const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (text.empty() || err != std::errc{} || !std::isfinite(number) || number < 0)
        return wrong();
    std::string unit{end, text.data() + text.size()};
    std::ranges::transform(unit, unit.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (unit.starts_with(' '))
        unit.erase(0, 1);
    constexpr std::string_view powers = "kmgtp";
    const auto power = unit.empty() ? std::string_view::npos : powers.find(unit.front());
    const std::string_view rest =
        power == std::string_view::npos ? std::string_view{unit} : std::string_view{unit}.substr(1);
    if (!rest.empty() && rest != "b" && (rest != "ib" || power == std::string_view::npos))
        return wrong();
    const double bytes =
        power == std::string_view::npos ? number : std::ldexp(number, static_cast<int>(10 * (power + 1)));
    return bytes < std::ldexp(1, 62) ? Result<std::int64_t>{static_cast<std::int64_t>(bytes)} : wrong();
}

Result<std::string> resources_of_limits(const std::vector<std::pair<std::string, std::string>>& limits) {
    Json resources = Json::object();
    for (const auto& [option, value] : limits) {
        const auto limit = std::ranges::find(known, std::string_view{option}, &Limit::option);
        if (limit == known.end())
            continue; // of resctrl, not of the cgroup
        resources[limit->object][limit->property] = TRY(to_json(*limit, value).context("--" + option));
    }
    return resources.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<std::string> schemata_of_limits(const std::vector<std::pair<std::string, std::string>>& limits) {
    std::vector<std::string> lines;
    for (const char* wanted : {"l3-cache-schema", "mem-bw-schema"})
        for (const auto& [option, value] : limits)
            if (option == wanted)
                lines.push_back(value);
    return lines;
}

} // namespace ctrd::ctr_oci
