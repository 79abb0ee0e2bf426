// What a clean-up that was interrupted has left of a container that is neither declared nor alive any more. Of any
// other one it is removed by its next start and stop.
#pragma once

#include <set>
#include <string>

namespace ctrd::bus {

/// Of whom there is anything.
std::set<std::string> find_leftovers();
void remove_leftovers(const std::string& container);

} // namespace ctrd::bus
