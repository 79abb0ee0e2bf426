#pragma once

#include "ctrd/oci/reader.hpp"
#include "ctrd/oci/spec.hpp"

namespace ctrd::oci {

Result<Process> read_process(const Reader& in);

} // namespace ctrd::oci
