// What a layer leaves open until the layers below it are there. A folder that it only implies ("usr/bin/x" without an
// entry for "usr/bin") gets owner, mode and times of the one below; one that is a link there moves to where the link
// leads; a hard link to a file below gets a copy of it.
#pragma once

#include "ctrd/image/stacked.hpp"
#include "ctrd/image/tree_writer.hpp"

namespace ctrd::image {

/// `tree`: the layer's, written and finished. `lowers`: the roots of those below, the uppermost first.
Result<void> settle(int tree, const LayerDebts& debts, std::span<const LayerNode> lowers);

} // namespace ctrd::image
