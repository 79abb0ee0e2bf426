// /io/ctrd1/container/NAME, interface io.ctrd1.Container.
#pragma once

#include "ctrd/bus/actions.hpp"

namespace ctrd::bus {

/// "/io/ctrd1/container/web"; characters that a path can't hold are escaped.
std::string container_path(const std::string& name);

/// Adds the objects of all containers, now and later.
Result<systemd::BusSlot> add_container_objects(sd_bus* bus, Actions& actions);
/// Makes them show in their parent's introspection, as busctl tree wants it.
Result<systemd::BusSlot> add_container_enumerator(sd_bus* bus, Actions& actions);

void announce_change(sd_bus* bus, const Container& container, Change change);

} // namespace ctrd::bus
