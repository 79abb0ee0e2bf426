#pragma once

#include "ctrd/oci/reader.hpp"
#include "ctrd/oci/spec.hpp"

namespace ctrd::oci {

/// The "linux" object into `spec`.
Result<void> read_linux(const Reader& in, Spec& spec);

} // namespace ctrd::oci
