// Which of the host's ids a container with a user namespace of its own gets: 65536 in a row that nobody else has, the
// same ones at each of its starts.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/spec.hpp"

#include <string>
#include <vector>

namespace ctrd::runtime {

/// systemd's range for containers (its documentation "Users, Groups, UIDs and GIDs").
inline constexpr std::uint32_t first_container_id = 524288;
inline constexpr std::uint32_t last_container_id = 1879048191;
inline constexpr std::uint32_t ids_of_a_container = 65536;

/// Where is said who has which ids.
struct UserRangePaths {
    std::string ours{"/var/lib/ctrd/users"};       // NAME holds the first id of container NAME
    std::string accounts{"/etc"};                  // passwd, group, subuid, subgid
    std::string nspawn{"/run/systemd/nspawn-uid"}; // a file for each range that systemd-nspawn has picked and uses
};

/// The first of the ids that container `name` was given before, or is given now: a range of which no account of the
/// host, no /etc/subuid and no other container has any. It is on the disk when this returns.
Result<std::uint32_t> pick_user_range(const std::string& name, const UserRangePaths& paths = {});

/// Nothing, where it has none.
Result<void> release_user_range(const std::string& name, const UserRangePaths& paths = {});
Result<void> rename_user_range(const std::string& name, const std::string& to, const UserRangePaths& paths = {});

/// Ids from 0 on in the container are those from `first` on of the host.
std::vector<oci::IdMapping> id_mappings(std::uint32_t first, std::uint32_t count);

} // namespace ctrd::runtime
