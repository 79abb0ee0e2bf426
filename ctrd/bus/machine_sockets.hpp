// The sockets at which machined asks for shells in containers without a systemd: whose is one, and who calls there.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

#include <vector>

namespace ctrd::bus {

/// The container whose machine socket this is; empty for any other descriptor.
std::string container_of_socket(int fd);

/// Every machine socket that `pid` holds. The service manager (pid 1) keeps those of the running containers in their
/// units' descriptor stores.
Result<std::vector<UniqueFd>> take_machine_sockets_from(pid_t pid);

/// Whether a service's cgroup is that of systemd-machined. One that a payload has given this name is below its own.
bool is_machined_cgroup(std::string_view cgroup);

/// Whether systemd-machined has written what is there to be read, which stays to be read. The kernel tells each
/// message's sender. Whoever else has the socket in sight (every root of the container) can say nothing that is heard.
bool is_from_machined(int connection);

} // namespace ctrd::bus
