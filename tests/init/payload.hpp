// The parts of the test payload. Each mode prints what it finds out, a line each, to stdout: the unit's journal.
#pragma once

#include <cstdint>

namespace payload {

/// Answers each connection with the client's address. SIGHUP: closes its socket and binds a new one.
int serve(std::uint16_t port, bool ipv6);

/// Binds the port, takes one connection, and tries every way out through both sockets. `listener`: one that was
/// passed, else -1. `target`: a service on the host's loopback that must stay out of reach.
int attack(int listener, std::uint16_t port, std::uint16_t target);

/// The same attack with nobody to stop it: shows that it works.
int control(std::uint16_t target);

} // namespace payload
