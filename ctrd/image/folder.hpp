// The names in a folder.
#pragma once

#include "ctrd/base/result.hpp"

#include <set>
#include <string>
#include <vector>

namespace ctrd::image {

/// Without those that begin with a dot, in no order; none where there is no such folder.
Result<std::vector<std::string>> names_in(int folder, const std::string& path);
/// All of the open `folder`, which may be a stranger's.
Result<std::set<std::string>> all_names_in(int folder);

} // namespace ctrd::image
