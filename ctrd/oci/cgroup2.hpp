// linux.resources, which speaks of cgroup v1, in the files and values of cgroup v2. Pure.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/resources.hpp"

namespace ctrd::oci {

/// One write(2) to one file of a cgroup's folder.
struct Control {
    std::string file{};
    std::string value{};
    bool optional{false};     // no such file: nothing to do
    std::string other_file{}; // where `file` is not there
    std::string other_value{};
    bool operator==(const Control&) const = default;
};

/// What a cgroup has already, which an update must go by. Absent: unknown; -1: unlimited.
struct CurrentLimits {
    std::optional<std::int64_t> memory{};
    std::optional<std::int64_t> swap{}; // swap alone
    std::optional<std::int64_t> quota{};
    std::optional<std::uint64_t> period{};
};

/// In the order in which they are to be written; `unified` comes last and so wins.
Result<std::vector<Control>> controls(const Resources& resources, const CurrentLimits& current = {});

/// 2..262144 around 1024 to 1..10000 around 100; 0 ("not set") stays 0. The curve that runc and crun have since 2025.
std::uint64_t cpu_weight(std::uint64_t shares);
/// 10..1000 to 1..10000.
std::uint64_t io_weight(std::uint16_t weight);

} // namespace ctrd::oci
