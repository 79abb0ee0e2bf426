// While ctrd is stopped on purpose: machined, which does one thing at a time, would wait at the machine sockets of
// containers (machined-plugin/machine_socket.hpp) for an answer that does not come. A ctrd that systemd stops, and does
// not start again at once, leaves ctrd-wake.service behind, this program with "--wake": it holds these sockets, reads
// nothing and answers nobody. The first connection starts ctrd, as a call over the bus does, and ctrd answers it. Where
// ctrd can't be started it hangs up. The two units exclude each other.
#pragma once

#include "ctrd/base/result.hpp"

#include <systemd/sd-bus.h>

namespace ctrd::bus {

/// Until systemd ends it.
Result<void> run_wake();

/// Called by a ctrd that was told to end: starts ctrd-wake.service if that end is a stop. Waits for systemd's answer,
/// for two seconds at most. At a shutdown systemd starts nothing any more.
void leave_wake(sd_bus* bus);

} // namespace ctrd::bus
