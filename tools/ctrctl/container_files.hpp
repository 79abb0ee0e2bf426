// What a container has of files: its whole root file system while it runs, and what it has written to its image.
#pragma once

#include "ctrd/image/owners.hpp"
#include "ctrd/image/use.hpp"
#include "tools/ctrctl/client.hpp"

namespace ctrd::ctl {

/// Of a container that is made from an image.
struct ContainerChanges {
    image::Use use;                 // of which image
    std::vector<UniqueFd> layers{}; // the image's, the uppermost first
    UniqueFd upper{};               // O_PATH: overlayfs' upper folder
};
/// The store's lock is the caller's.
Outcome<ContainerChanges> changes_of(const image::Store& store, const std::string& name);

/// A layer's root, to be looked into: where that is an EROFS file, of a mount of it.
Result<UniqueFd> open_layer_root(const image::Store& store, const image::Digest& chain);

struct RunningFiles {
    UniqueFd root{}; // O_PATH
    image::Owners owners{};
};
/// Its root file system alone, without what is mounted in it: attached over the store's folder "containers" in a mount
/// namespace of our own, into which this process goes.
Outcome<RunningFiles> files_of_running(Client& client, const std::string& name);

} // namespace ctrd::ctl
