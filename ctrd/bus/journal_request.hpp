// What a caller of GetContainerLogs or GetEvents asks for, checked at the edge, and journalctl's arguments for it.
#pragma once

#include "ctrd/base/result.hpp"

#include <systemd/sd-bus.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace ctrd::bus {

struct JournalRequest {
    int output{-1};             // belongs to the message
    std::string after_cursor{}; // empty: from the first one on
    std::string container{};    // GetEvents: of this one only
    std::uint64_t since{0};     // microseconds of CLOCK_REALTIME; 0: no bound
    std::uint64_t until{0};
    std::optional<std::uint64_t> lines{}; // only the last ones
    bool follow{false};
};

/// The arguments "ha{sv}". An error is the caller's fault.
Result<JournalRequest> read_journal_request(sd_bus_message* call, bool of_events);

/// All that `unit` has written, or what happened to containers; as lines of JSON.
std::vector<std::string> log_arguments(const JournalRequest& request, const std::string& unit);
std::vector<std::string> event_arguments(const JournalRequest& request);

} // namespace ctrd::bus
