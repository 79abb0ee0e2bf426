// What a container's cgroup says of its use of the machine: small files of the kernel, read on demand and never kept.
#pragma once

#include "ctrd/base/result.hpp"

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ctrd::bus {

/// One fact: a count, a size in bytes or a time in microseconds, as its name says; or a share in per cent.
struct Stat {
    std::string name{};
    std::uint64_t number{0};
    double share{0};
    bool is_share{false};
};

/// Facts whose controller the host does not have are left out. `folder`: of the cgroup, below its mount.
std::vector<Stat> read_cgroup_stats(const std::string& folder);

/// Every process in it and below it. The payload makes the folders below: what is deeper or more than any sane one is
/// an error, so that looking never takes long.
Result<std::vector<pid_t>> read_cgroup_processes(const std::string& folder);

// The parsers, for their tests.
std::vector<Stat> parse_flat(std::string_view text,
                             const std::vector<std::pair<std::string_view, const char*>>& wanted);
std::vector<Stat> parse_pressure(std::string_view text, const std::string& resource);
std::vector<Stat> parse_io(std::string_view text);

} // namespace ctrd::bus
