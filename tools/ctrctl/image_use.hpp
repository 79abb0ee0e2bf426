// Which containers use which image, as the verbs of `ctrctl image` ask for it.
#pragma once

#include "ctrd/image/gc.hpp"

namespace ctrd::ctl {

using ImageUsers = std::map<image::Digest, std::set<std::string>>; // names of containers

Result<ImageUsers> image_users(const image::Store& store);

/// Why the name may not go: a container that uses the image would have no other name for it, or is declared with this
/// one. Nothing: it may.
Result<void> check_unused(const image::Store& store, const std::string& name);

/// What prune leaves besides what has a name: the uses, and whatever a declared container has written.
Result<image::Kept> kept_images(const image::Store& store);

} // namespace ctrd::ctl
