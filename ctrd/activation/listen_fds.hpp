// What the service manager hands to a program that it starts for a socket unit: sd_listen_fds_with_names(3), for the
// static programs.
#pragma once

#include "ctrd/base/fd.hpp"

#include <string>
#include <vector>

namespace ctrd::activation {

struct ListenFd {
    UniqueFd fd;
    std::string name; // FileDescriptorName=, or FDNAME= of a stored one; "unknown" where there is none
};

/// From $LISTEN_PID, $LISTEN_FDS and $LISTEN_FDNAMES, which are removed. Each descriptor becomes CLOEXEC. Without the
/// variables, or with those of another process: none.
Result<std::vector<ListenFd>> listen_fds_from_environment();

} // namespace ctrd::activation
