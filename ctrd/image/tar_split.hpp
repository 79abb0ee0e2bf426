// The tar that a layer was unpacked from, put together again. Who has unpacked it has kept a list ("tar-split"): a JSON
// object a line, with what stands between the files' contents as it was, and the files' names and sizes. The contents
// are the tree's. Whether the result is that tar only its hash says, which is for who asks to look at.
#pragma once

#include "ctrd/base/result.hpp"

#include <functional>

namespace ctrd::image {

/// `list`: a file, compressed by gzip. `tree`: the folder with the layer's files; no path leads out of it.
Result<void> rebuild_tar(int list, int tree, const std::function<Result<void>(std::string_view)>& sink);

} // namespace ctrd::image
