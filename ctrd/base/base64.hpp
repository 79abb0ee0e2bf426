// Base64 as passwords, keys and signatures are written in it.
#pragma once

#include "ctrd/base/result.hpp"

namespace ctrd {

std::string to_base64(std::string_view data);
/// The standard alphabet with its padding, nothing else in between; `what` is named in the error.
Result<std::string> from_base64(std::string_view text, std::string_view what);

} // namespace ctrd
