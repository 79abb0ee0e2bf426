// The process of an `exec`: the container's own first one, or a process.json, changed by the command line.
#pragma once

#include "ctrd/oci/spec.hpp"
#include "tools/ctr-oci/options.hpp"

namespace ctrd::ctr_oci {

/// Pure. `base`: of config.json, or of --process.
Result<oci::Process> make_exec_process(const Options& options, oci::Process base);

} // namespace ctrd::ctr_oci
