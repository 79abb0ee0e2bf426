// Datagrams: each client has a socket of its own in the container, so that its answers find their way back.
#pragma once

#include "tools/ctr-proxy/loop.hpp"
#include "tools/ctr-proxy/target.hpp"

namespace ctrd::proxy {

std::unique_ptr<Source> make_exchange(Loop& loop, const Route& route);

} // namespace ctrd::proxy
