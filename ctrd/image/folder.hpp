// The names in a folder of ours.
#pragma once

#include "ctrd/base/result.hpp"

#include <vector>

namespace ctrd::image {

/// Without those that begin with a dot, in no order; none where there is no such folder.
Result<std::vector<std::string>> names_in(int folder, const std::string& path);

} // namespace ctrd::image
