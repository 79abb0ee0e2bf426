// accept = true: systemd has accepted a connection, and this unit is the container for it alone. Nothing waits, nothing
// is adopted, and who runs when it has ended is the next connection's container.
#pragma once

#include "ctrd/base/notify.hpp"
#include "ctrd/base/result.hpp"

namespace ctrd::run {

/// ExecStart= of an instance of ctr-NAME@.service.
Result<void> start_connection(const std::string& name, const Notifier& manager);
/// ExecStopPost= of it.
Result<void> clean_connection(const std::string& name);

} // namespace ctrd::run
