// Declarations until the next boot, in /run/ctrd/containers: what `ctrctl run --detach` and `create` and the D-Bus API
// make, and what can be renamed and removed by a command. Needs root.
#pragma once

#include "ctrd/base/result.hpp"

#include <string>

namespace ctrd::ctl {

// Errors: invalid_argument where what is asked for is wrong; anything else where it could not be done.

/// Checks the declaration, writes it and has systemd read its units again. After an error nothing of it is left.
Result<void> declare_until_boot(const std::string& name, const std::string& declaration);

/// One that is at rest, with its socket; what it has written comes along.
Result<void> rename_declared(const std::string& name, const std::string& to);

/// One that runs only with `force`, which stops it.
Result<void> undeclare(const std::string& name, bool force);

} // namespace ctrd::ctl
