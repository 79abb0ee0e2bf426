// What getsockname(2) says to a payload of a listener that it has adopted: the port that it has bound, not the one on
// which the host listens. Programs look whether they got what they asked for (a worker of Node.js' cluster does).
//
// Two BPF programs on the cgroup in which the listeners were made (guard.hpp) change the answer for whoever is in the
// payload's cgroup itself; everybody else, systemd and ctrd among them, is told the host's port.
#pragma once

#include "ctrd/activation/guard.hpp"

#include <span>
#include <string>

namespace ctrd::activation {

struct PortName {
    std::uint16_t host_port{0}; // where the socket listens
    std::uint16_t port{0};      // what the payload is told
};

/// From now on, for those in `payload` (the folder of a cgroup). Needs Linux 5.8.
Result<void> name_ports(const Cgroup& listeners, const std::string& payload, std::span<const PortName> names);

} // namespace ctrd::activation
