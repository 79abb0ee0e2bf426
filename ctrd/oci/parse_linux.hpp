#pragma once

#include "ctrd/oci/reader.hpp"
#include "ctrd/oci/spec.hpp"

namespace ctrd::oci {

/// The "linux" object into `spec`.
Result<void> read_linux(const Reader& in, Spec& spec);

/// An array of id mappings, of the container or of one mount.
Result<std::vector<IdMapping>> read_id_mappings(const Reader& in, const char* key);

} // namespace ctrd::oci
