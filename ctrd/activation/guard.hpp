// A listener in a payload's hands is a socket of the host's network: shut down, it could connect() out or bind another
// port there; so could each connection accepted from it. The guard denies both.
//
// The kernel runs cgroup-BPF socket programs of the cgroup in which a socket was *born*, whoever uses it. The service
// manager makes a socket unit's IP sockets inside that unit's own cgroup, where nothing ever needs to connect, or to
// bind after the unit has started: programs that refuse connect and bind belong there. They live as long as the
// sockets; when the unit stops, its cgroup and they go.
#pragma once

#include "ctrd/base/fd.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace ctrd::activation {

/// The id of the cgroup in which an IP socket was born: the kernel's own answer (sock_diag).
Result<std::uint64_t> birth_cgroup(int socket);

struct Cgroup {
    UniqueFd folder;
    std::string path; // below the cgroup mount
};
Result<Cgroup> open_cgroup(std::uint64_t id);

/// Refuses connect and bind (IPv4 and IPv6) on everything born there. Looks first whether it is done already.
Result<void> refuse_outgoing(const Cgroup& cgroup);

/// All of the above for what is about to be handed over: the id of the cgroup in which they were born, 0 where none is
/// IP, which need no guard. An error means that nothing may be handed over; a socket that was born outside of `unit`
/// ("ctr@web.socket") is one.
Result<std::uint64_t> guard_listeners(std::span<const int> sockets, const std::string& unit);

} // namespace ctrd::activation
