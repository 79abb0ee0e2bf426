// config.md, "POSIX-platform Hooks".
#pragma once

#include "ctrd/oci/reader.hpp"
#include "ctrd/oci/spec.hpp"

namespace ctrd::oci {

Result<Hooks> read_hooks(const Reader& top);

} // namespace ctrd::oci
