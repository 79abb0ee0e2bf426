// [[start-on]]: what else than a connection starts a container. systemd waits for it, in a .path or a .timer unit.
#pragma once

#include "config/config.hpp"

namespace ctrd::config {

/// Each is right by itself, and together with the rest of the declaration.
Diagnostics check_triggers(const UnitSpec& spec);
/// ctr@NAME.path and ctr@NAME.timer, where there is something to put into them, and the links that start them.
void add_trigger_units(const UnitSpec& spec, Compiled& compiled);

} // namespace ctrd::config
