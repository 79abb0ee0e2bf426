// Limits, scheduler and priorities of a process that is still blocked: set from outside, with the caller's rights.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/spec.hpp"

#include <sys/types.h>

namespace ctrd::runtime {

/// process.rlimits, oomScoreAdj, scheduler and ioPriority.
Result<void> set_scheduling(pid_t pid, const oci::Process& process);

} // namespace ctrd::runtime
