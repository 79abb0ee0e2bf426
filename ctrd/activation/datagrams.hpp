// A UDP server must send, but only to those who have asked it: the guard of datagram sockets that a payload is given.
//
// A program on the socket unit's cgroup sees each datagram that comes in and keeps whom it came from, the last 4096 of
// them; two others refuse to send to anybody else (EPERM). The first one counts, too, as the counter of connections
// does.
#pragma once

#include "ctrd/activation/guard.hpp"

namespace ctrd::activation {

/// By which the counter (a Counted of traffic.hpp) is found: the first map of the program that sees what comes in.
constexpr const char* datagram_counter_name = "ctrd_asked";

/// Looks first whether it is done already. Who waits in the queues of `sockets`, since before there was a guard, may be
/// answered as well.
Result<void> answer_only(const Cgroup& cgroup, std::span<const int> sockets);

} // namespace ctrd::activation
