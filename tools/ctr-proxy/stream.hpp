// Connections: accepted on the host's listener, made again to the container's program, and copied in the kernel.
#pragma once

#include "tools/ctr-proxy/loop.hpp"
#include "tools/ctr-proxy/target.hpp"

namespace ctrd::proxy {

/// `until`: as long as the program may take to listen; who comes before it does waits for it.
std::unique_ptr<Source> make_acceptor(Loop& loop, const Route& route, Clock::time_point until);

} // namespace ctrd::proxy
