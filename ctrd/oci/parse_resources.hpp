// linux.resources: what `create` and `update --resources` share.
#pragma once

#include "ctrd/oci/reader.hpp"
#include "ctrd/oci/resources.hpp"

namespace ctrd::oci {

Result<Resources> read_resources(const Reader& in);

} // namespace ctrd::oci
