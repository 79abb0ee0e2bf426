// Images from Podman's storage on this machine: "containers-storage:NAME", or "containers-storage:[FOLDER]NAME" where
// it is in another folder than root's usual one.
#pragma once

#include "ctrd/image/ingest.hpp"

namespace ctrd::ctl {

struct StorageName {
    std::string folder{}; // "": the usual one
    std::string name{};
};

bool is_in_storage(const std::string& text);
Result<StorageName> parse_storage_name(const std::string& text);

/// Takes the store's shared lock for the time. `max_layer_size`: 0 is the usual limit.
Result<image::Tag> pull_from_storage(const image::Store& store, const std::string& text, std::uint64_t max_layer_size,
                                     const image::ProgressSink& progress);

} // namespace ctrd::ctl
