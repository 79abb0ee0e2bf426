// linux.resources of config.json as checked values. What cgroup v2 has no counterpart for is either refused by the
// parser or named in `ignored`.
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

struct Memory {
    std::optional<std::int64_t> limit{};
    std::optional<std::int64_t> reservation{};
    std::optional<std::int64_t> swap{}; // memory + swap, as in cgroup v1
    bool check_before_update{false};
};

struct Cpu {
    std::optional<std::uint64_t> shares{};
    std::optional<std::int64_t> quota{};
    std::optional<std::uint64_t> burst{};
    std::optional<std::uint64_t> period{};
    std::optional<std::int64_t> idle{};
    std::string cpus{};
    std::string mems{};
};

struct WeightDevice {
    std::int64_t major{0};
    std::int64_t minor{0};
    std::uint16_t weight{0};
};

struct ThrottleDevice {
    std::int64_t major{0};
    std::int64_t minor{0};
    std::uint64_t rate{0}; // 0: no limit
};

struct BlockIo {
    std::optional<std::uint16_t> weight{};
    std::vector<WeightDevice> weight_devices{};
    std::vector<ThrottleDevice> read_bytes{};
    std::vector<ThrottleDevice> write_bytes{};
    std::vector<ThrottleDevice> read_operations{};
    std::vector<ThrottleDevice> write_operations{};
};

struct HugepageLimit {
    std::string page_size{}; // "2MB"
    std::uint64_t limit{0};
};

struct RdmaLimit {
    std::optional<std::uint32_t> handles{};
    std::optional<std::uint32_t> objects{};
};

struct Resources {
    std::vector<DeviceRule> devices{};
    Memory memory{};
    Cpu cpu{};
    std::optional<std::int64_t> pids_limit{};
    BlockIo block_io{};
    std::vector<HugepageLimit> hugepages{};
    std::map<std::string, RdmaLimit> rdma{};      // device -> limits
    std::map<std::string, std::string> unified{}; // file of the cgroup v2 folder -> value
    std::vector<std::string> ignored{};           // properties that were set and change nothing on cgroup v2
};

} // namespace ctrd::oci
