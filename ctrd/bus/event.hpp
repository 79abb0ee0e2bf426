// An owner for sd-event's sources.
#pragma once

#include <systemd/sd-event.h>

#include <memory>

namespace ctrd::bus {

struct DisableSource {
    void operator()(sd_event_source* source) const noexcept { sd_event_source_disable_unref(source); }
};
using EventSource = std::unique_ptr<sd_event_source, DisableSource>;

} // namespace ctrd::bus
