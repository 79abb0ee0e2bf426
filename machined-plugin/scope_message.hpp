// The arguments of systemd1's calls for scopes. Negative: an errno of sd-bus.
#pragma once

#include "machined-plugin/scope.hpp"

#include <systemd/sd-bus.h>

#include <sys/types.h>

namespace ctrd::systemd {

/// (sv)... of NAME=SIGNATURE:VALUE each: ScopeRequest. EINVAL: one is not of that form.
int append_properties(sd_bus_message* call, const std::vector<std::string>& properties);

/// StartTransientUnit's, of a scope around `pid`.
int append_scope(sd_bus_message* call, const ScopeRequest& request, pid_t pid);

} // namespace ctrd::systemd
