// linux.intelRdt: a group of the resctrl file system (cache and memory bandwidth), config-linux.md "IntelRdt".
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/spec.hpp"

#include <sys/types.h>

namespace ctrd::runtime {

/// Puts `pid` into its group, which is made where the spec says so. Returns the folder that is to be removed with the
/// container; empty: none.
Result<std::string> join_rdt(const oci::IntelRdt& rdt, const std::string& id, pid_t pid);

/// One more process into a group that join_rdt has put the container into.
Result<void> follow_into_rdt(const oci::IntelRdt& rdt, const std::string& id, pid_t pid);

/// Other schemata for the container's group.
Result<void> change_rdt(const oci::IntelRdt& rdt, const std::string& id, const std::vector<std::string>& schemata);

/// The group that is made for the container alone; empty: none is. For one whose creator was killed.
std::string own_rdt_folder(const std::optional<oci::IntelRdt>& rdt, const std::string& id);

/// A folder that join_rdt returned. Its processes are gone by then.
void remove_rdt(const std::string& folder) noexcept;

} // namespace ctrd::runtime
