// linux.resources of config.json as checked values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ctrd::oci {

/// One line of linux.resources.devices. -1: any number.
struct DeviceRule {
    bool allow{false};
    char type{'a'};
    std::int64_t major{-1};
    std::int64_t minor{-1};
    std::string access{"rwm"};
};

struct Resources {
    std::vector<DeviceRule> devices{};
    std::optional<std::int64_t> memory_limit{};
    std::optional<std::int64_t> memory_reservation{};
    std::optional<std::int64_t> memory_swap{}; // memory + swap, as in cgroup v1
    std::optional<std::uint64_t> cpu_shares{};
    std::optional<std::int64_t> cpu_quota{};
    std::optional<std::uint64_t> cpu_period{};
    std::string cpus{};
    std::string mems{};
    std::optional<std::int64_t> pids_limit{};
    std::map<std::string, std::string> unified{}; // file of the cgroup v2 folder -> value
};

} // namespace ctrd::oci
