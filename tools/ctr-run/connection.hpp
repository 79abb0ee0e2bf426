// accept = true: this unit is the container for one connection alone. systemd has accepted it; or, with a warm pool,
// the container waits, all made but the last steps to its program, accepts the next connection itself, and sees to it
// that another one waits. Nothing is adopted, and who runs when it has ended is the next connection's container.
#pragma once

#include "ctrd/base/notify.hpp"
#include "ctrd/base/result.hpp"

namespace ctrd::run {

/// ExecStart= of an instance of ctr-NAME@.service.
Result<void> start_connection(const std::string& name, const Notifier& manager);
/// The same with a warm pool: the container is made, and waits for a connection.
Result<void> await_connection(const std::string& name, const Notifier& manager);
/// ExecStopPost= of both.
Result<void> clean_connection(const std::string& name);

} // namespace ctrd::run
