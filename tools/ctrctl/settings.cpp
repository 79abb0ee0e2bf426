#include "tools/ctrctl/settings.hpp"

#include "config/syntax.hpp"
#include "ctrd/base/names.hpp"

#include <array>
#include <charconv>
#include <vector>

namespace ctrd::ctl {
namespace {

constexpr std::uint64_t infinity = UINT64_MAX;
constexpr std::uint64_t second_us = 1'000'000;

enum class Kind { memory, weight, quota, count };
struct Known {
    std::string_view key;
    const char* property;
    Kind kind;
};
constexpr std::array known{
    Known{"memory-min", "MemoryMin", Kind::memory},
    Known{"memory-low", "MemoryLow", Kind::memory},
    Known{"memory-high", "MemoryHigh", Kind::memory},
    Known{"memory-max", "MemoryMax", Kind::memory},
    Known{"memory-swap-max", "MemorySwapMax", Kind::memory},
    Known{"cpu-weight", "CPUWeight", Kind::weight},
    Known{"cpu-quota", "CPUQuotaPerSecUSec", Kind::quota},
    Known{"io-weight", "IOWeight", Kind::weight},
    Known{"tasks-max", "TasksMax", Kind::count},
};

/// A number with a fraction, then a word.
bool split_number(std::string_view text, double& number, std::string_view& rest) {
    const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    rest = text.substr(static_cast<std::size_t>(end - text.data()));
    return err == std::errc{} && number >= 0;
}

Result<std::uint64_t> bytes_of(std::string_view text) {
    double number = 0;
    std::string_view unit;
    constexpr std::string_view units = "KMGT";
    if (split_number(text, number, unit) && unit.size() <= 1) {
        double factor = 1;
        const auto power = unit.empty() || unit == "B" ? std::string_view::npos : units.find(unit);
        for (std::size_t i = 0; power != std::string_view::npos && i <= power; ++i)
            factor *= 1024;
        if ((unit.empty() || unit == "B" || power != std::string_view::npos) && number * factor < 9e18)
            return static_cast<std::uint64_t>(number * factor);
    }
    return fail(bad_input("'" + printable(text) + "' is not a size", "as in 512M, 1.5G or infinity"));
}

Result<std::uint64_t> quota_of(std::string_view text) {
    double number = 0;
    std::string_view unit;
    if (split_number(text, number, unit) && unit == "%" && number > 0 && number < 1e9)
        return static_cast<std::uint64_t>(number / 100 * second_us);
    return fail(bad_input("'" + printable(text) + "' is not a share of a processor", "as in 50%, 200% or infinity"));
}

Result<std::uint64_t> number_of(std::string_view text, std::uint64_t most) {
    const auto number = config::parse_decimal(text, most);
    if (!number || *number == 0)
        return fail(bad_input("'" + printable(text) + "' is not a number from 1 to " + std::to_string(most)));
    return *number;
}

} // namespace

Result<Setting> parse_setting(std::string_view assignment) {
    const auto equals = assignment.find('=');
    const std::string_view key = assignment.substr(0, equals);
    if (equals == std::string_view::npos)
        return fail(bad_input("'" + printable(assignment) + "' is not KEY=VALUE", "as in memory-max=1G"));
    const std::string_view value = assignment.substr(equals + 1);
    for (const auto& one : known) {
        if (one.key != key)
            continue;
        const auto number = value == "infinity"        ? Result<std::uint64_t>{infinity}
                            : one.kind == Kind::memory ? bytes_of(value)
                            : one.kind == Kind::quota  ? quota_of(value)
                            : one.kind == Kind::weight ? number_of(value, 10'000)
                                                       : number_of(value, 1ULL << 40);
        return Setting{one.property, TRY(Result<std::uint64_t>{number}.context(key))};
    }
    std::vector<std::string_view> keys;
    for (const auto& one : known)
        keys.push_back(one.key);
    const auto near = nearest(key, keys);
    return fail(bad_input("'" + printable(key) + "' is not a limit that can be set",
                          near.empty() ? "ctrctl(1) lists them" : "did you mean '" + std::string{near} + "'?"));
}

} // namespace ctrd::ctl
