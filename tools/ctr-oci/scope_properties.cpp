#include "tools/ctr-oci/scope_properties.hpp"

#include "ctrd/base/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace ctrd::ctr_oci {
namespace {

constexpr std::uint64_t infinity = std::numeric_limits<std::uint64_t>::max();
using Properties = std::vector<std::string>;

/// "max" or a number.
std::optional<std::uint64_t> number(std::string_view text) {
    if (text == "max")
        return infinity;
    std::uint64_t value = 0;
    const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || err != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> result;
    while (true) {
        const auto end = text.find(separator);
        if (end != 0)
            result.push_back(text.substr(0, end));
        if (end == std::string_view::npos)
            return result;
        text.remove_prefix(end + 1);
    }
}

struct Plain {
    std::string_view file;
    std::string_view property;
};
constexpr std::array plain{
    Plain{"memory.min", "MemoryMin"}, Plain{"memory.low", "MemoryLow"},          Plain{"memory.high", "MemoryHigh"},
    Plain{"memory.max", "MemoryMax"}, Plain{"memory.swap.max", "MemorySwapMax"}, Plain{"pids.max", "TasksMax"},
    Plain{"cpu.weight", "CPUWeight"},
};

/// The manager keeps whole percents of a processor: rounded up, so that it never gives less than was asked for.
void add_quota(std::string_view value, Properties& out) {
    const auto words = split(value, ' ');
    const auto quota = number(words.front());
    const auto period = words.size() > 1 ? number(words[1]) : std::optional<std::uint64_t>{100000};
    if (!quota || !period || *period == 0)
        return;
    std::uint64_t per_second = infinity;
    if (*quota != infinity) {
        const double percents = std::ceil(static_cast<double>(*quota) * 100 / static_cast<double>(*period));
        per_second = static_cast<std::uint64_t>(std::min(percents, 1e9)) * 10000;
    }
    out.push_back(fmt::format("CPUQuotaPerSecUSec=t:{}", per_second));
    out.push_back(fmt::format("CPUQuotaPeriodUSec=t:{}", *period));
}

/// "0-2,5" as a bit mask, the first byte first.
void add_set(std::string_view property, std::string_view list, Properties& out) {
    constexpr std::uint64_t most = 8192;
    std::vector<unsigned> bytes;
    for (const auto range : split(list, ',')) {
        const auto ends = split(range, '-');
        const auto first = number(ends.front());
        const auto last = number(ends.back());
        if (!first || !last || ends.size() > 2 || *first > *last || *last >= most)
            return;
        for (auto bit = *first; bit <= *last; ++bit) {
            bytes.resize(std::max<std::size_t>(bytes.size(), bit / 8 + 1));
            bytes[bit / 8] |= 1U << (bit % 8);
        }
    }
    std::string hex;
    for (const unsigned byte : bytes)
        hex += fmt::format("{:02x}", byte);
    out.push_back(fmt::format("{}=ay:{}", property, hex));
}

void add_io_weight(const std::string& value, Properties& out) {
    const auto words = split(value, ' ');
    if (words.size() == 1)
        out.push_back(fmt::format("IOWeight=t:{}", words[0]));
    else if (words.size() == 2 && words[0] != "default")
        out.push_back(fmt::format("IODeviceWeight=a(st):/dev/block/{} {}", words[0], words[1]));
}

/// "8:0 rbps=1000 wiops=max"
void add_io_max(const std::string& value, Properties& out) {
    constexpr std::array keys{Plain{"rbps", "IOReadBandwidthMax"}, Plain{"wbps", "IOWriteBandwidthMax"},
                              Plain{"riops", "IOReadIOPSMax"}, Plain{"wiops", "IOWriteIOPSMax"}};
    const auto words = split(value, ' ');
    for (std::size_t i = 1; i < words.size(); ++i) {
        const auto equals = std::min(words[i].find('='), words[i].size());
        const auto key = std::ranges::find(keys, words[i].substr(0, equals), &Plain::file);
        const auto limit = number(words[i].substr(std::min(equals + 1, words[i].size())));
        if (key != keys.end() && limit)
            out.push_back(fmt::format("{}=a(st):/dev/block/{} {}", key->property, words[0], *limit));
    }
}

void add_control(const oci::Control& control, Properties& out) {
    if (const auto it = std::ranges::find(plain, std::string_view{control.file}, &Plain::file); it != plain.end()) {
        if (const auto value = number(control.value))
            out.push_back(fmt::format("{}=t:{}", it->property, *value));
    } else if (control.file == "cpu.idle") {
        if (control.value == "1")
            out.emplace_back("CPUWeight=t:0"); // the manager's word for it
    } else if (control.file == "cpu.max") {
        add_quota(control.value, out);
    } else if (control.file == "cpuset.cpus") {
        add_set("AllowedCPUs", control.value, out);
    } else if (control.file == "cpuset.mems") {
        add_set("AllowedMemoryNodes", control.value, out);
    } else if (control.file == "io.weight" || control.other_file == "io.weight") {
        add_io_weight(control.file == "io.weight" ? control.value : control.other_value, out);
    } else if (control.file == "io.max") {
        add_io_max(control.value, out);
    }
}

enum class Type { boolean, signal, time, collect_mode };
struct Allowed {
    std::string_view name;
    Type type;
};
constexpr std::array allowed{
    Allowed{"CollectMode", Type::collect_mode}, Allowed{"KillSignal", Type::signal},
    Allowed{"TimeoutStopUSec", Type::time},     Allowed{"RuntimeMaxUSec", Type::time},
    Allowed{"CPUAccounting", Type::boolean},    Allowed{"IOAccounting", Type::boolean},
    Allowed{"IPAccounting", Type::boolean},     Allowed{"MemoryAccounting", Type::boolean},
    Allowed{"TasksAccounting", Type::boolean},
};

/// Values are written as GVariant's text: "uint64 5", "'text'", "true".
std::string_view without_type(std::string_view text) {
    for (const std::string_view type : {"uint64 ", "int64 ", "uint32 ", "int32 ", "double "})
        if (text.starts_with(type))
            text.remove_prefix(type.size());
    if (text.size() >= 2 && (text.front() == '\'' || text.front() == '"') && text.back() == text.front())
        text = text.substr(1, text.size() - 2);
    return text;
}

std::optional<std::string> property_value(Type type, std::string_view text, bool in_seconds) {
    switch (type) {
    case Type::boolean:
        return text == "true" || text == "false" ? std::optional{fmt::format("b:{}", text == "true" ? 1 : 0)}
                                                 : std::nullopt;
    case Type::signal: {
        const auto signal = parse_signal(text);
        return signal ? std::optional{fmt::format("i:{}", *signal)} : std::nullopt;
    }
    case Type::collect_mode:
        return text == "inactive" || text == "inactive-or-failed" ? std::optional{fmt::format("s:{}", text)}
                                                                  : std::nullopt;
    case Type::time:
        break;
    }
    double value = 0;
    const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (text.empty() || err != std::errc{} || end != text.data() + text.size() || value < 0 || value > 1e15)
        return std::nullopt;
    return fmt::format("t:{}", static_cast<std::uint64_t>(in_seconds ? value * 1e6 : value));
}

} // namespace

Properties scope_properties(const std::vector<oci::Control>& controls) {
    Properties result;
    for (const auto& control : controls)
        add_control(control, result);
    return result;
}

Result<Properties> annotated_properties(const std::map<std::string, std::string>& annotations) {
    constexpr std::string_view prefix = "org.systemd.property.";
    Properties result;
    for (const auto& [key, value] : annotations) {
        if (!key.starts_with(prefix))
            continue;
        std::string name = key.substr(prefix.size());
        const bool in_seconds = name.ends_with("Sec") && !name.ends_with("USec");
        if (in_seconds)
            name.replace(name.size() - 3, 3, "USec");
        const auto known = std::ranges::find(allowed, std::string_view{name}, &Allowed::name);
        if (known == allowed.end())
            return fail(Error{std::errc::operation_not_permitted,
                              fmt::format("annotation '{}': a container may not set this property of its unit", key),
                              "see docs/ctr-oci.md for those that it may set"});
        const auto property = property_value(known->type, without_type(value), in_seconds);
        if (!property)
            return fail(bad_input(fmt::format("annotation '{}': '{}' is not a value of this property", key, value)));
        result.push_back(name + "=" + *property);
    }
    return result;
}

} // namespace ctrd::ctr_oci
