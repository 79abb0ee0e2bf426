#include "config/resources.hpp"

#include "config/keys.hpp"
#include "config/syntax.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

namespace ctrd::config {
namespace {

Result<std::string> memory(std::string_view text) { return check_memory(text); }
Result<std::string> swap(std::string_view text) { return check_memory(text, true); }
Result<std::string> cpu_weight(std::string_view text) { return check_weight(text, true); }
Result<std::string> io_weight(std::string_view text) { return check_weight(text, false); }

template <std::size_t count>
Result<std::string> one_of(std::string_view text, const std::array<std::string_view, count>& words) {
    if (std::ranges::find(words, text) != words.end())
        return std::string{text};
    return fail(
        bad_input(fmt::format("'{}' is not one of: {}", is_printable(text) ? text : "?", fmt::join(words, ", "))));
}

Result<std::string> oomd_word(std::string_view text) {
    return one_of(text, std::array<std::string_view, 2>{"auto", "kill"});
}
Result<std::string> oomd_preference(std::string_view text) {
    return one_of(text, std::array<std::string_view, 3>{"none", "avoid", "omit"});
}
Result<std::string> oomd_limit(std::string_view text) {
    const auto permille = parse_permille(text);
    if (!permille || *permille > 1000)
        return fail(bad_input(fmt::format("'{}' is not a share of the time", is_printable(text) ? text : "?"),
                              "from \"0.1%\" to \"100%\", such as \"60%\""));
    return std::string{text};
}

constexpr std::array table{
    ResourceKey{"memory-max", "MemoryMax", &ResourceSpec::memory_max, memory},
    ResourceKey{"memory-high", "MemoryHigh", &ResourceSpec::memory_high, memory},
    ResourceKey{"memory-swap-max", "MemorySwapMax", &ResourceSpec::memory_swap_max, swap},
    ResourceKey{"cpu-weight", "CPUWeight", &ResourceSpec::cpu_weight, cpu_weight},
    ResourceKey{"cpu-quota", "CPUQuota", &ResourceSpec::cpu_quota, check_cpu_quota},
    ResourceKey{"tasks-max", "TasksMax", &ResourceSpec::tasks_max, check_tasks_max},
    ResourceKey{"io-weight", "IOWeight", &ResourceSpec::io_weight, io_weight},
    ResourceKey{"managed-oom-swap", "ManagedOOMSwap", &ResourceSpec::oomd_swap, oomd_word},
    ResourceKey{"managed-oom-memory-pressure", "ManagedOOMMemoryPressure", &ResourceSpec::oomd_pressure, oomd_word},
    ResourceKey{"managed-oom-memory-pressure-limit", "ManagedOOMMemoryPressureLimit", &ResourceSpec::oomd_limit,
                oomd_limit},
    ResourceKey{"managed-oom-preference", "ManagedOOMPreference", &ResourceSpec::oomd_preference, oomd_preference},
};

} // namespace

std::span<const ResourceKey> resource_table() { return table; }

std::span<const std::string_view> resource_keys() {
    static const auto names = [] {
        std::vector<std::string_view> list;
        for (const auto& one : table)
            list.push_back(one.key);
        return list;
    }();
    return names;
}

bool asks_oomd(const ResourceSpec& resources) {
    return resources.oomd_swap == "kill" || resources.oomd_pressure == "kill" || resources.oomd_preference;
}

} // namespace ctrd::config
