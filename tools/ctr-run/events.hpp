// What ctr-run tells of a container's life: events for the journal, and the last end for ctrd.
#pragma once

#include "ctrd/base/result.hpp"

#include <sys/types.h>

namespace ctrd::run {

/// The container is ready. Nothing waits for it: what fails here is only said.
void tell_started(const std::string& name, pid_t leader);

/// ExecStopPost=: systemd's own words for how it ended are in the environment.
void tell_ended(const std::string& name);

} // namespace ctrd::run
