// Whether two unpacked layers are the same, file by file: their names, kinds, modes, owners, times, attributes, links
// and contents.
#pragma once

#include "ctrd/base/result.hpp"

#include <optional>

namespace ctrd::image {

/// The first thing in folder `found` that is not as in folder `wanted`, for people: "'etc/passwd': its content". Of two
/// files: "byte 4096 of the EROFS file".
Result<std::optional<std::string>> first_difference(int wanted, int found);

} // namespace ctrd::image
