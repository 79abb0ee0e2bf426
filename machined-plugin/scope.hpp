// A scope of the service manager around a process that exists already.
#pragma once

#include "ctrd/base/result.hpp"

#include <string>
#include <vector>

namespace ctrd::systemd {

struct ScopeRequest {
    std::string unit{};
    std::string slice{};
    std::string description{};
    /// NAME=SIGNATURE:VALUE each, with the signatures b, i, t, s, ay (as hexadecimal digits) and a(st) (one pair, with
    /// a space between).
    std::vector<std::string> properties{};
};

/// Puts the calling process into a new scope, with its cgroup delegated, and returns when systemd has done so. Over the
/// manager's private socket: two hops less than the bus.
Result<void> enter_scope(const ScopeRequest& request);

/// Changes a scope's properties until it ends.
Result<void> set_scope_properties(const std::string& unit, const std::vector<std::string>& properties);

} // namespace ctrd::systemd
