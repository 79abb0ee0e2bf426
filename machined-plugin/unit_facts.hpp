// What systemd says of one service unit.
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include <cstdint>
#include <string>

namespace ctrd::systemd {

struct UnitFacts {
    std::string active{"inactive"}; // ActiveState
    std::string sub{"dead"};
    std::string result{"success"};
    std::string status_text{};
    std::string freezer{"running"}; // FreezerState
    std::uint32_t main_pid{0};
    std::int32_t main_code{0}; // CLD_EXITED, CLD_KILLED ...; 0: nothing has ended yet
    std::int32_t main_status{0};
    // CLOCK_REALTIME, microseconds; 0: never
    std::uint64_t active_enter{0};
    std::uint64_t active_exit{0};
    std::uint64_t inactive_enter{0};
    std::uint64_t inactive_exit{0};
    sd_id128_t invocation{};
    std::uint32_t job{0}; // on its way; 0: none
};

/// Takes over what an a{sv} of properties says; the others stay as they are. Negative errno on a malformed message.
int read_properties(sd_bus_message* message, UnitFacts& facts);

} // namespace ctrd::systemd
