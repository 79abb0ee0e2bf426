// What `machinectl enable`, `disable` and `start` do with a declared container. They mean systemd-nspawn@NAME.service,
// and want an image that machined can see: so that unit is made to start the container's own, and the image is a link
// to an empty folder, of which `machinectl remove` and `clone` can do no more than remove the link, or copy nothing.
#pragma once

#include "config/diagnostic.hpp"

#include <string>
#include <vector>

namespace ctrd::config {

/// For each name; `units`: the generator's folder, with the containers' own units in it. A name that is an nspawn
/// image's, too, stays nspawn's. Links of containers that are not in `names` go. `root` is put before all other paths.
Diagnostics generate_machine_units(const std::vector<std::string>& names, const std::string& units,
                                   const std::string& root);

/// The drop-in for systemd-nspawn@NAME.service.
/// `survives`: a soft-reboot.
std::string machine_unit_text(const std::string& name, bool survives);

} // namespace ctrd::config
