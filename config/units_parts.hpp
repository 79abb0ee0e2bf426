// Parts of unit files that both kinds of containers have: those that answer all connections of their sockets, and those
// that are made for one connection each.
#pragma once

#include "config/units.hpp"

namespace ctrd::config {

/// "[Unit]" and where the unit comes from.
std::string unit_head(const UnitSpec& spec);
std::string unit_description(const UnitSpec& spec);
/// The value of RequiresMountsFor=.
std::string mounts_needed(const UnitSpec& spec);
/// Slice=, where another than the template's is declared; of [Service] and of [Socket]: what a slice says of addresses
/// holds for the sockets that are born in it.
std::string slice_line(const UnitSpec& spec);
/// Of [Socket]: where it listens, and how.
std::string listen_lines(const UnitSpec& spec);
/// Of [Service]: what the declaration says of signals, times and limits.
std::string common_lines(const UnitSpec& spec, const ResourceSpec& resources, const UnitOptions& options);

/// accept = true: ctr-NAME.socket and ctr-NAME@.service.
void add_accepting_units(const UnitSpec& spec, const ResourceSpec& resources, const UnitOptions& options,
                         Compiled& compiled);

} // namespace ctrd::config
