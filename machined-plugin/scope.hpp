// A scope of the service manager around a process that exists already.
#pragma once

#include "ctrd/base/result.hpp"

#include <string>

namespace ctrd::systemd {

/// Puts the calling process into a new scope `unit` below `slice`, with its cgroup delegated, and returns when systemd
/// has done so. Over the manager's private socket: two hops less than the bus.
Result<void> enter_scope(const std::string& unit, const std::string& slice, const std::string& description);

} // namespace ctrd::systemd
