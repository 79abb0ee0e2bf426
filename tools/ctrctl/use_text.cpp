#include "tools/ctrctl/use_text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

namespace ctrd::ctl {
namespace {

constexpr std::uint64_t unlimited = UINT64_MAX;

std::optional<std::uint64_t> number(const Use& use, std::string_view name) {
    const auto at = use.numbers.find(name);
    return at == use.numbers.end() ? std::nullopt : std::optional{at->second};
}

std::string size_of(const Use& use, std::string_view name) {
    const auto value = number(use, name);
    return !value || *value == unlimited ? std::string{} : describe_size(*value);
}

std::string share_of(const Use& use, std::string_view name) {
    const auto at = use.shares.find(name);
    return at == use.shares.end() ? std::string{} : fmt::format("{:.1f}", at->second);
}

/// How much more a second; nothing without a look before.
std::optional<double> rate_of(const Sample& now, const std::vector<Sample>& before, std::string_view name) {
    const auto old = std::ranges::find(before, now.name, &Sample::name);
    if (old == before.end() || now.time <= old->time)
        return std::nullopt;
    const auto then = number(old->use, name), there = number(now.use, name);
    if (!then || !there || *there < *then) // it was started anew
        return std::nullopt;
    return static_cast<double>(*there - *then) * 1e6 / static_cast<double>(now.time - old->time);
}

std::string cpu_of(const Sample& now, const std::vector<Sample>& before) {
    if (const auto rate = rate_of(now, before, "CPUUsageUSec"))
        return fmt::format("{:.1f}%", *rate / 1e4);
    const auto total = number(now.use, "CPUUsageUSec");
    return total ? fmt::format("{:.2f}s", static_cast<double>(*total) / 1e6) : std::string{};
}

std::string bytes_of(const Sample& now, const std::vector<Sample>& before, std::string_view name) {
    if (const auto rate = rate_of(now, before, name))
        return describe_size(static_cast<std::uint64_t>(*rate)) + "/s";
    return before.empty() ? size_of(now.use, name) : std::string{};
}

} // namespace

std::string describe_size(std::uint64_t bytes) {
    if (bytes < 1024)
        return fmt::format("{}B", bytes);
    auto value = static_cast<double>(bytes);
    const char* unit = "KMGTPE";
    for (value /= 1024; value >= 1024 && unit[1] != '\0'; ++unit)
        value /= 1024;
    return value < 100 ? fmt::format("{:.1f}{}", value, *unit) : fmt::format("{:.0f}{}", value, *unit);
}

std::string use_text(const std::vector<Sample>& now, const std::vector<Sample>& before, const Look& look) {
    Table table{{"NAME", "CPU", "MEMORY", "LIMIT", "TASKS", "READ", "WRITTEN", "CPU-PSI", "MEM-PSI", "IO-PSI"}};
    for (const auto& one : now) {
        const auto tasks = number(one.use, "TasksCurrent");
        table.add({{one.name},
                   {cpu_of(one, before)},
                   {size_of(one.use, "MemoryCurrent")},
                   {size_of(one.use, "MemoryMax")},
                   {tasks ? std::to_string(*tasks) : std::string{}},
                   {bytes_of(one, before, "IOReadBytes")},
                   {bytes_of(one, before, "IOWriteBytes")},
                   {share_of(one.use, "CPUPressureSome10s")},
                   {share_of(one.use, "MemoryPressureSome10s")},
                   {share_of(one.use, "IOPressureSome10s")}});
    }
    return table.render(look);
}

nlohmann::json use_json(const std::vector<Sample>& now) {
    auto json = nlohmann::json::array();
    for (const auto& one : now) {
        nlohmann::json entry{{"name", one.name}};
        for (const auto& [name, value] : one.use.numbers) {
            if (value == unlimited)
                entry[name] = nullptr;
            else
                entry[name] = value;
        }
        for (const auto& [name, value] : one.use.shares)
            entry[name] = value;
        json.push_back(std::move(entry));
    }
    return json;
}

} // namespace ctrd::ctl
