// How far into our own network an address lies. A registry may send us on to other hosts (token servers, storage), but
// not from the internet into what only this machine or its network can reach.
#pragma once

#include "ctrd/base/result.hpp"

#include <sys/socket.h>

#include <optional>

namespace ctrd::registry {

enum class Reach { global, own_network, link_local, this_machine };
std::string_view to_string(Reach reach) noexcept;

Reach reach_of(const sockaddr& address) noexcept;
/// Of a literal IPv4 or IPv6 address (with or without brackets), or "localhost"; nothing for other names.
std::optional<Reach> reach_of(std::string_view host) noexcept;

/// Whether a server that lies at `from` may send us to an address at `to`.
bool may_lead(Reach from, Reach to) noexcept;

} // namespace ctrd::registry
