// Limits that change while a container runs: which of systemd's properties a caller may set, and to what.
#pragma once

#include "ctrd/base/result.hpp"
#include "machined-plugin/units.hpp"

#include <vector>

namespace ctrd::bus {

/// Reads an a{sv}. An error is the caller's fault: what is not on the list is refused by name.
Result<std::vector<systemd::UnitProperty>> read_live_properties(sd_bus_message* call);

/// The rules for one of them.
Result<void> check_live_property(const systemd::UnitProperty& property);

} // namespace ctrd::bus
