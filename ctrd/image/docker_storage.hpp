// Images out of Docker's own storage (its image store, not containerd's), without its daemon. It has no locks that
// others could hold, so what is removed meanwhile is an error. Its format is Docker's and may change: an image is only
// taken where its config has the hash that is its id, and each layer that was read is, to the byte, the tar that the
// config names.
#pragma once

#include "ctrd/image/load.hpp"

namespace ctrd::image {

/// `root`: Docker's data-root. `request.wanted`: the image's name there, also without its registry, or the beginning of
/// its id; `request.name`: what to call it, "" as there.
Result<Tag> load_from_docker_storage(const Store& store, UniqueFd root, const LoadRequest& request);

} // namespace ctrd::image
