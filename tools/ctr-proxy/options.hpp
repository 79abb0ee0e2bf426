// What ctr-run tells ctr-proxy: its command line.
#pragma once

#include "ctrd/base/result.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <vector>

namespace ctrd::proxy {

/// One listening socket of the host, and where the container's program listens.
struct Route {
    std::uint16_t number{0}; // by which its readiness is told
    bool datagram{false};
    bool at_once{false}; // nobody waits for its readiness
    int listener{-1};    // descriptor
    std::uint16_t port{0};
    std::string path{};   // in place of a port
    bool six_only{false}; // no IPv4 socket has the port; known when it is ready
};

struct Options {
    int ready{-1};     // a pipe: the number of each route, two bytes, when its program listens
    int container{-1}; // pidfd of its first process
    std::string cgroup{};
    uid_t user{0};
    gid_t group{0};
    std::chrono::milliseconds patience{0}; // how long a program may take until it listens
    std::vector<Route> routes{};
};

/// `NAME READY-FD PIDFD CGROUP UID GID MS ROUTE...`, where a ROUTE is
/// `NUMBER:stream|datagram:wait|now:FD:PORT-OR-PATH`.
Result<Options> parse_options(int argc, char* const* argv);

} // namespace ctrd::proxy
