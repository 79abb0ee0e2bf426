// What `events` prints of a cgroup, in runc's shape.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace ctrd::ctr_oci {

/// Files that the cgroup does not have count as zeros: the host may have bound a controller to cgroup v1.
nlohmann::ordered_json read_stats(const std::string& cgroup);

/// How often the out-of-memory killer has ended a process of the cgroup.
std::uint64_t oom_kills(const std::string& cgroup);

} // namespace ctrd::ctr_oci
