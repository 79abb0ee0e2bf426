// accept = true: each connection has a unit of its own, ctr-NAME@N-....service, which systemd knows and ctrd does not.
#pragma once

#include "tools/ctrctl/client.hpp"

namespace ctrd::ctl {

/// The state of those whose socket unit is active becomes "listening", and the instances that run are added.
Outcome<void> add_instances(sd_bus* bus, std::vector<Row>& rows);
Outcome<void> add_instances(sd_bus* bus, Details& details);

/// "ctr-echo@12-10.0.0.1:79-10.0.0.9:4711.service" -> "echo@12"; empty for any other unit.
std::string short_name_of(std::string_view unit);

} // namespace ctrd::ctl
