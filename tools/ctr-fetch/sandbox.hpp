// What the process that speaks HTTP gives up before its first byte leaves: the host's files but those that a look-up of
// names and the system's certificate authorities take (read-only, in a root of its own), every capability, root's user,
// writing to any file, executing anything, and the system calls that it does not need. It keeps the host's network:
// that is its job.
#pragma once

#include "ctrd/base/result.hpp"

namespace ctrd::fetching {

/// Single-threaded until it returns.
Result<void> confine();

/// The last step.
Result<void> limit_system_calls();

} // namespace ctrd::fetching
