// The container's cgroup: made, limited and removed. Version 2 only.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/cgroup2.hpp"

#include <string>
#include <vector>

namespace ctrd::runtime {

/// Refuses what may not become a container's cgroup, since what is in it would be limited, killed and removed with the
/// container: the root, and one where processes are.
Result<void> check_unused(const std::string& path);

/// The folder of `path` below the mount, made with its parents. Returns the absolute path.
Result<std::string> create_cgroup(const std::string& path);

/// linux.resources onto the folder's control files. A limit whose controller is missing is an error, not silence.
Result<void> apply_resources(const std::string& folder, const oci::Resources& resources);
/// The same for controls that were made of them already.
Result<void> apply_controls(const std::string& folder, const std::vector<oci::Control>& controls);
/// What the folder is limited to now, as far as a change of limits needs it.
oci::CurrentLimits current_limits(const std::string& folder);
/// memory.checkBeforeUpdate: refuses a limit that is used up already, where the kernel would kill.
Result<void> check_memory_usage(const std::string& folder, const oci::Memory& memory);

/// BPF_CGROUP_DEVICE: `rules` in order, the last match wins, after the devices that every container needs. Takes the
/// place of the rules that the folder has from us, without a moment between the two.
Result<void> limit_devices(const std::string& folder, const std::vector<oci::DeviceRule>& rules);

/// SIGKILL to everything in it and below (cgroup.kill).
Result<void> kill_cgroup(const std::string& folder);

/// Freezes or thaws everything in it and below, and returns when that is done.
Result<void> set_frozen(const std::string& folder, bool frozen);

/// Removes the folder and what the payload made below it. Waits a moment for processes that are just dying.
Result<void> remove_cgroup(const std::string& folder);

/// The pids in it and below.
Result<std::vector<int>> processes_in(const std::string& folder);

} // namespace ctrd::runtime
