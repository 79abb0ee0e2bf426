// /io/ctrd1, interface io.ctrd1.Manager.
#pragma once

#include "ctrd/bus/actions.hpp"

namespace ctrd::bus {

Result<systemd::BusSlot> add_manager_object(sd_bus* bus, Actions& actions);

// Its signals.
void announce_new(sd_bus* bus, const Container& container);
void announce_removed(sd_bus* bus, const Container& container);
void announce_state(sd_bus* bus, const Container& container);

} // namespace ctrd::bus
