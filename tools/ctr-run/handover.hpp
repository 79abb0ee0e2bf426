// What ctr-run tells ctrd, over /run/ctrd/handover. No start and no stop fails for want of a ctrd.
#pragma once

#include "ctrd/base/result.hpp"

#include <sys/types.h>

#include <span>
#include <string>

namespace ctrd::run {

/// The container runs; the descriptors are ctrd's from now on.
Result<void> hand_over(const std::string& name, pid_t leader, std::span<const int> fds);

/// To be called before the unit is at rest: machined asks for the stop of a unit that it finds stopped while a machine
/// of its is registered, and by then that unit may have been started again. Waits, for a second at most, until ctrd
/// has taken the machine out; at once where there is none.
void leave_machined(const std::string& name);

} // namespace ctrd::run
