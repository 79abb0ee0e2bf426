// Images from the storages of others on this machine: "containers-storage:NAME" is Podman's, "docker-storage:NAME"
// Docker's; "...:[FOLDER]NAME" where it is in another folder than the one that is configured for root.
#pragma once

#include "ctrd/image/ingest.hpp"

namespace ctrd::ctl {

bool is_in_storage(const std::string& text);
/// Of one that is.
Result<void> check_storage_name(const std::string& text);

/// Takes the store's shared lock for the time. `max_layer_size`: 0 is the usual limit.
Result<image::Tag> pull_from_storage(const image::Store& store, const std::string& text, std::uint64_t max_layer_size,
                                     const image::ProgressSink& progress);

} // namespace ctrd::ctl
