// Limits, scheduler and priorities of a process that is still blocked: set from outside, with the caller's rights.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/spec.hpp"

#include <sys/types.h>

namespace ctrd::runtime {

/// process.oomScoreAdj, scheduler and ioPriority.
Result<void> set_scheduling(pid_t pid, const oci::Process& process);

/// process.rlimits, for a process that could not raise its own.
Result<void> set_limits(pid_t pid, const oci::Process& process);
Error limit_error(int err, const oci::Rlimit& limit);

} // namespace ctrd::runtime
