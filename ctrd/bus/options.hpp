// The a{sv} that ends many calls' arguments.
#pragma once

#include "ctrd/base/result.hpp"

#include <systemd/sd-bus.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace ctrd::bus {

/// `read` takes a value over and returns sd-bus' word, -ENOENT for a name that it does not know; `known` is the hint
/// then.
Result<void> read_options(sd_bus_message* call, const char* known,
                          const std::function<int(std::string_view name)>& read);

// One value, a variant of this type.
int read_bool(sd_bus_message* call, bool& value);
int read_number(sd_bus_message* call, std::uint64_t& value);
int read_text(sd_bus_message* call, std::string& value);

} // namespace ctrd::bus
