// Owners for sd-bus objects, and the text of a bus error.
#pragma once

#include "ctrd/base/result.hpp"

#include <systemd/sd-bus.h>

#include <memory>

namespace ctrd::systemd {

struct BusUnref {
    void operator()(sd_bus* bus) const noexcept { sd_bus_unref(bus); }
    void operator()(sd_bus_message* message) const noexcept { sd_bus_message_unref(message); }
    void operator()(sd_bus_slot* slot) const noexcept { sd_bus_slot_unref(slot); }
};
using BusMessage = std::unique_ptr<sd_bus_message, BusUnref>;
using BusSlot = std::unique_ptr<sd_bus_slot, BusUnref>;

inline BusMessage keep(sd_bus_message* message) { return BusMessage{sd_bus_message_ref(message)}; }

/// What an error reply says; `doing` goes before it. The errno is sd-bus's own mapping of the error's name.
inline Error error_of(sd_bus_message* reply, const std::string& doing) {
    const sd_bus_error* error = sd_bus_message_get_error(reply);
    const char* text = error != nullptr ? error->message : nullptr;
    const auto code = static_cast<std::errc>(sd_bus_message_get_errno(reply));
    return {code, doing + ": " + (text != nullptr ? text : "no reason was given"), ""};
}

} // namespace ctrd::systemd
