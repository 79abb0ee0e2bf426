// How much a container's sockets are used: what tells an idle one from one that is in use.
//
// Connections that are open are seen by sock_diag. Those that came and went between two looks are not; a BPF program on
// the socket unit's cgroup (BPF_PROG_TYPE_SOCK_OPS, once for each connection and not for each packet) keeps their
// number and the time of the last one. It is the kernel's own memory, so it outlives ctrd, and it goes with the unit.
#pragma once

#include "ctrd/activation/guard.hpp"
#include "ctrd/activation/record.hpp"

#include <optional>

namespace ctrd::activation {

/// Counts from now on; looks first whether it is done already.
Result<void> count_connections_of(const Cgroup& cgroup);

/// CLOCK_MONOTONIC, nanoseconds; 0: never. A datagram counts as a connection that ends at once.
struct Counted {
    std::uint64_t connections{0};
    std::uint64_t last_event{0}; // the last connection began, or ended
    std::uint64_t first{0};      // the first one since `first` was last cleared
};
/// ENOENT: nobody counts there.
Result<Counted> counted(std::uint64_t cgroup);
/// What `first` was; the next connection is a first one again.
Result<std::uint64_t> take_first(std::uint64_t cgroup);

struct OpenConnections {
    unsigned accepted{0}; // some process has it
    unsigned queued{0};   // nobody has accepted it yet: it outlives the payload
    unsigned closed{0};   // ports that nobody listens on: the payload has shut its listener down
};
Result<OpenConnections> open_connections(const RunRecord& record);

} // namespace ctrd::activation
