// ctrd put together: which part tells which other what.
#pragma once

#include "ctrd/base/result.hpp"

namespace ctrd::bus {

/// Runs until SIGTERM or SIGINT, or until the bus is lost: an error.
Result<void> run_daemon();

} // namespace ctrd::bus
