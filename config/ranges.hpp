// "127.0.0.1:9000-9010": one [[socket]] for many ports.
#pragma once

#include "config/diagnostic.hpp"
#include "config/syntax.hpp"
#include "config/unit_spec.hpp"

namespace ctrd::config {

/// So many ports at most: each is a descriptor of systemd and of the payload.
constexpr unsigned most_ports = 256;

struct ListenRange {
    ListenAddress first{};
    std::uint16_t last{0}; // 0: a single one
};
/// As parse_listen, with "FIRST-LAST" in the port's place too.
Result<ListenRange> parse_listen_range(std::string_view text);

/// Each range becomes one socket for each of its ports. Keys keep the place at which they were written.
void expand_ranges(UnitSpec& spec, Diagnostics& problems);

} // namespace ctrd::config
