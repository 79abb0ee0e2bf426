// "memory-max=1G": the limits that `ctrctl set` changes, as [resources] of a declaration writes them. Pure.
#pragma once

#include "ctrd/base/result.hpp"

#include <cstdint>

namespace ctrd::ctl {

/// One of the bus' live properties.
struct Setting {
    std::string property{};
    std::uint64_t value{0};
    bool operator==(const Setting&) const = default;
};

Result<Setting> parse_setting(std::string_view assignment);

} // namespace ctrd::ctl
