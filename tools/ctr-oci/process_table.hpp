// What ps printed, cut down to some processes.
#pragma once

#include "ctrd/base/result.hpp"

#include <vector>

namespace ctrd::ctr_oci {

/// The title and the lines whose PID column names one of `pids`.
Result<std::string> lines_of_processes(std::string_view table, const std::vector<int>& pids);

} // namespace ctrd::ctr_oci
