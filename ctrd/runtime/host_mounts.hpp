// What the host has mounted and a payload must not find underneath its rootfs where that is not pivoted into.
#pragma once

#include "ctrd/base/result.hpp"

#include <vector>

namespace ctrd::runtime {

/// The mount points of every procfs and sysfs in `mountinfo`, the text of /proc/PID/mountinfo, in its order.
std::vector<std::string> find_kernel_mounts(std::string_view mountinfo);

/// Those of our own mount namespace.
Result<std::vector<std::string>> kernel_mounts();

} // namespace ctrd::runtime
