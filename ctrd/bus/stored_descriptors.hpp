// What the service manager keeps for the containers' units in their descriptor stores is found again by looking at the
// descriptors of that process: systemd gives them back to their unit only.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

#include <string_view>
#include <vector>

namespace ctrd::bus {

/// Of the descriptors of `pid`, copies of those whose link in /proc is `like` what is looked for, and of which `is_it`
/// holds when they are ours.
Result<std::vector<UniqueFd>> take_descriptors_from(pid_t pid, bool (*like)(std::string_view link),
                                                    bool (*is_it)(int fd));

} // namespace ctrd::bus
