// Where the container's program listens: in its own network, on its own loopback, or at a path of its own root.
#pragma once

#include "tools/ctr-proxy/options.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace ctrd::proxy {

union Address {
    sockaddr any;
    sockaddr_in four;
    sockaddr_in6 six;
    sockaddr_un local;
};

/// `attempt` 0 and 1: a program that listens on one family only is found by the other attempt. A path has one.
Address target_of(const Route& route, unsigned attempt);
socklen_t size_of(const Address& address);
unsigned attempts_for(const Route& route);

/// Whether somebody in the container listens there. A path: whether a socket's file is there.
Result<bool> is_listening(const Route& route);

/// Of a port: nobody has it for IPv4, and somebody for IPv6.
bool listens_on_six_only(const Route& route);

} // namespace ctrd::proxy
