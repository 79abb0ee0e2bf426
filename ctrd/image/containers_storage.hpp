// Images out of the storage that Podman, buildah and skopeo share on this machine (containers-storage), without their
// programs. It is read with their locks held for reading. Its format is theirs and may change: an image is only taken
// where each layer that was read is, to the byte, the tar that the image's config names.
#pragma once

#include "ctrd/image/load.hpp"

namespace ctrd::image {

/// `root`: the storage's folder. `request.wanted`: the image's name there, also without its registry, or the
/// beginning of its id; `request.name`: what to call it, "" as there.
Result<Tag> load_from_containers_storage(const Store& store, UniqueFd root, const LoadRequest& request);

} // namespace ctrd::image
