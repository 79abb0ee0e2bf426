// Which processes are in a cgroup.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace ctrd::activation {

/// In the cgroup's folder (absolute) and in those below it, as far as they can be read.
std::vector<pid_t> pids_in(const std::string& folder);

} // namespace ctrd::activation
