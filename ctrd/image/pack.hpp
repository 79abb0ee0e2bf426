// A folder into tar, as hostile as a container can make it: opened piece by piece without following a link, and read
// while somebody may still write to it.
#pragma once

#include "ctrd/image/owners.hpp"
#include "ctrd/image/tar_writer.hpp"

namespace ctrd::image {

enum class Packing {
    tree,  // all of it as it is
    layer, // what overlayfs has kept of changes: what was deleted and hidden as layers say it
};

/// All below `folder` and itself as "./", names in order. Sockets are left out: tar has no type for them. What vanishes
/// meanwhile is not there; what becomes shorter is filled up with zeros.
/// `owners`: who they are for the container whose files they are.
Result<void> pack(int folder, Packing packing, TarWriter& to, const Owners& owners = {});

} // namespace ctrd::image
