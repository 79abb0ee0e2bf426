// Parts of unit files that both kinds of containers have: those that answer all connections of their sockets, and those
// that are made for one connection each.
#pragma once

#include "config/units.hpp"

namespace ctrd::config {

inline constexpr std::string_view unit_folder = "/usr/lib/systemd/system";

/// "[Unit]" and where the unit comes from.
std::string unit_head(const UnitSpec& spec);
std::string unit_description(const UnitSpec& spec);
/// RequiresMountsFor=; nothing for what is to outlive those mounts.
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

/// survive-soft-reboot = true: drop-ins for the units themselves and the slices that they are in.
void add_survival_units(const UnitSpec& spec, Compiled& compiled);
/// Its path.
std::string survival_drop_in(const std::string& unit);

} // namespace ctrd::config
