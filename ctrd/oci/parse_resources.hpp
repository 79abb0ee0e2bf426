// linux.resources: what `create` and `update --resources` share.
#pragma once

#include "ctrd/oci/reader.hpp"
#include "ctrd/oci/resources.hpp"

namespace ctrd::oci {

/// `version`: the ociVersion of the configuration that it is of, or for.
Result<Resources> read_resources(const Reader& in, std::string_view version);

} // namespace ctrd::oci
