// update's single options as the linux.resources object that they stand for.
#pragma once

#include "ctrd/base/result.hpp"

#include <cstdint>
#include <utility>
#include <vector>

namespace ctrd::ctr_oci {

/// JSON text; what the values are worth is for the parser of linux.resources to say.
Result<std::string> resources_of_limits(const std::vector<std::pair<std::string, std::string>>& limits);

/// --l3-cache-schema and --mem-bw-schema: lines for the schemata of the container's resctrl group, in this order.
std::vector<std::string> schemata_of_limits(const std::vector<std::pair<std::string, std::string>>& limits);

/// "512M", "1.5g", "64KiB", "1024", "-1".
Result<std::int64_t> parse_size(std::string_view text);

} // namespace ctrd::ctr_oci
