// UnitSpec -> texts of systemd units. Pure.
#pragma once

#include "config/config.hpp"

namespace ctrd::config {

struct UnitOptions {
    bool deferred{false};     // config.json could not be made yet; the service makes it before it starts
    bool mounts_files{false}; // of an image with layers that are EROFS files
    std::string image{};      // the exact one: "name:tag@sha256:..."; empty: none, or not known yet
};
/// The drop-in for ctr@NAME.service and, with sockets, the one for ctr@NAME.socket; and the links that start them.
void add_units(const UnitSpec& spec, const ResourceSpec& resources, const UnitOptions& options, Compiled& compiled);

/// A value in which systemd must not see a specifier ("%i").
std::string unit_text(std::string_view value);
/// One word of a list, in double quotes.
std::string unit_word(std::string_view value);

} // namespace ctrd::config
