// The keys of [resources], and what each becomes: one list for the reader, the unit and the merge with a bundle.
#pragma once

#include "config/unit_spec.hpp"
#include "ctrd/base/result.hpp"

#include <span>

namespace ctrd::config {

struct ResourceKey {
    std::string_view key;
    std::string_view property; // of the unit
    std::optional<std::string> ResourceSpec::*value;
    Result<std::string> (*check)(std::string_view text); // the value as the property takes it
};
/// In the order in which they are written to the unit.
std::span<const ResourceKey> resource_table();

/// Whether systemd-oomd may be asked to end it.
bool asks_oomd(const ResourceSpec& resources);

} // namespace ctrd::config
