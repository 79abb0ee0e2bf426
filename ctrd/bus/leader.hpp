// The first process of a running container, as systemd names it.
#pragma once

#include "ctrd/base/result.hpp"

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace ctrd::bus {

/// Its start time. The one that systemd named may have ended, and its number be another's by now: an error.
Result<std::uint64_t> verify_leader(const std::string& container, pid_t leader);

} // namespace ctrd::bus
