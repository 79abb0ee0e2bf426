// Images out of the store into one archive, as others take it: an OCI layout in a tar, or as `docker save` writes it.
#pragma once

#include "ctrd/image/store.hpp"

namespace ctrd::image {

enum class ArchiveKind { oci, docker };

/// `output`: where the archive goes, from its beginning on; a pipe will do. What is written has been hashed again.
Result<void> save_images(const Store& store, const std::vector<Tag>& tags, ArchiveKind kind, int output);

} // namespace ctrd::image
