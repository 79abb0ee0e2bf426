// The properties that tell how a container's starts went and who is connected to it. They are read when somebody asks:
// nobody keeps them up to date, and no signal tells of them.
#pragma once

#include <systemd/sd-bus.h>

#include <string>

namespace ctrd::bus {

/// (tt(ttt)a(ts)): how many succeeded and failed; the time within which a half, nine tenths and 99 of 100 of the last
/// ones were ready, in microseconds; when and why the last ones failed.
int append_starts(sd_bus_message* reply, const std::string& container);

/// (uu): connections that the payload has accepted, and those that still wait in the queue.
int append_connections(sd_bus_message* reply, const std::string& container);

} // namespace ctrd::bus
