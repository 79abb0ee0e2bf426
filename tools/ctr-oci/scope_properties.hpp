// Limits as properties of a systemd scope, so that nothing the manager does (a daemon-reload, a 'systemctl
// set-property') puts others in their place. Pure.
#pragma once

#include "ctrd/oci/cgroup2.hpp"

namespace ctrd::ctr_oci {

/// As ctr-scope takes them: NAME=SIGNATURE:VALUE. A file for which systemd has no property, or a value that it could
/// not hold, has none: it is written to the cgroup all the same.
std::vector<std::string> scope_properties(const std::vector<oci::Control>& controls);

/// The annotations org.systemd.property.*: those few that can neither run anything, nor concern another unit, nor
/// loosen a limit. Any other one is refused: a property of a unit can be a command line (CVE-2024-3154).
Result<std::vector<std::string>> annotated_properties(const std::map<std::string, std::string>& annotations);

} // namespace ctrd::ctr_oci
