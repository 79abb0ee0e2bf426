// What a container has written to an image, as an image: the same layers and one more.
#pragma once

#include "ctrd/image/load.hpp"

namespace ctrd::image {

struct CommitRequest {
    Digest base;           // of the manifest
    std::string name{};    // what the new image is called
    std::string author{};  // "": nothing is said
    std::string message{}; // of the layer's entry in the history
    std::string source{};  // for people
    IngestOptions options{};
};

/// `changes`: overlayfs' upper folder of a container of `base`. It may be written to meanwhile.
Result<Tag> commit_changes(const Store& store, int changes, const CommitRequest& request);

} // namespace ctrd::image
