// Freezing a payload's cgroup (a path below the cgroup mount), and thawing it.
#pragma once

#include "ctrd/base/result.hpp"

#include <chrono>

namespace ctrd::activation {

/// By us, or as a part of something that somebody else has frozen.
Result<bool> is_frozen(const std::string& cgroup);

/// Returns when every process in it stands still, or is gone. One that does not in time leaves it freezing: thaw it.
Result<void> freeze(const std::string& cgroup, std::chrono::milliseconds timeout);

/// At once: they run when the kernel gets to them.
Result<void> thaw(const std::string& cgroup);

} // namespace ctrd::activation
