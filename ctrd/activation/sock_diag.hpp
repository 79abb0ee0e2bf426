// NETLINK_SOCK_DIAG, as far as the guard needs it: what the kernel knows of one IP socket that we hold.
#pragma once

#include "ctrd/base/result.hpp"

#include <cstdint>

namespace ctrd::activation {

/// INET_DIAG_CGROUP_ID of the socket, found by its cookie. Asked in our own network namespace.
Result<std::uint64_t> cgroup_id_of_socket(int socket);

} // namespace ctrd::activation
