// Facts about a spec that the checks and the compilers share.
#pragma once

#include "config/unit_spec.hpp"

#include <span>
#include <string_view>

namespace ctrd::config {

/// The same port on an IPv4 and an IPv6 address: the IPv6 socket must then leave IPv4 alone.
bool needs_ipv6_only(const UnitSpec& spec);

/// What systemd as PID 1 wants to be told to stop, and how long its services may take; unless it was declared.
void set_systemd_defaults(UnitSpec& spec, bool signal_too = true);

/// Every capability that Linux 6.1 has, "CAP_..." each.
std::span<const std::string_view> all_capabilities();
/// What a container gets when nothing is declared: Docker's and Podman's common set.
std::span<const std::string_view> default_capabilities();
/// "chown", "CHOWN" or "cap_chown" -> "CAP_CHOWN"; empty if there is none of that name.
std::string_view full_capability_name(std::string_view name);

/// What accept = true, a container for each connection, goes together with.
Diagnostics check_accept(const UnitSpec& spec);

} // namespace ctrd::config
