// What ctrd says of a container, from what systemd and the declaration say. Pure.
#pragma once

#include "ctrd/base/result.hpp"
#include "machined-plugin/unit_facts.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace ctrd::bus {

struct DeclaredSocket {
    std::string listen{};
    std::string deliver{};
    std::string name{};
    std::uint32_t port{0};
    bool operator==(const DeclaredSocket&) const = default;
};

/// What waits while nobody connects, and when that is.
struct StandbyPolicy {
    std::string mode{};                        // "stopped", "created", "frozen"
    std::chrono::milliseconds idle_timeout{0}; // 0: it is never taken for idle
    std::chrono::milliseconds max_lifetime{0}; // 0: none
    std::uint32_t idle_cpu_permille{0};        // 0: what it does by itself does not count
    bool graceful{false};
    bool reclaim_memory{false};
    bool always_there{false}; // its end is followed by a new start
    bool operator==(const StandbyPolicy&) const = default;
};

/// What the compiled config says that everybody may know.
struct Declaration {
    std::string source{}; // image, bundle or rootfs, as declared
    std::string image{};  // the image's name; empty where it is none
    std::string image_digest{};
    std::string root{}; // the rootfs on the host; empty where the config has it relative
    std::vector<DeclaredSocket> sockets{};
    std::optional<StandbyPolicy> standby{};
    bool operator==(const Declaration&) const = default;
};

Result<Declaration> parse_declaration(std::string_view config_json);

struct Container {
    std::string name{};
    std::optional<Declaration> declared{}; // nothing: no longer declared, but its unit is not at rest yet
    systemd::UnitFacts unit{};
};

/// "stopped", "starting", "running", "paused", "stopping" or "failed".
const char* state_of(const systemd::UnitFacts& unit);

/// It runs, paused or not.
bool is_up(const systemd::UnitFacts& unit);

/// The payload's first process; 0 when there is none. While a unit starts its main process may be ctr-run still.
pid_t leader_of(const systemd::UnitFacts& unit);

/// When it came into its state: CLOCK_REALTIME, microseconds; 0 where systemd does not know it.
std::uint64_t since_of(const systemd::UnitFacts& unit);

/// How a first process ended, as waitid(2) has it.
struct EndFacts {
    std::int32_t code{0}; // CLD_*; 0: not known
    std::int32_t status{0};
};
/// "exited 7", "killed TERM": what ctr-run leaves at a container's end.
EndFacts parse_end(std::string_view text);

/// Declared, or alive all the same.
bool is_listed(const Container& container);

/// Why a start did not work, for the user: `job` is the start job's result.
Error start_failure(const std::string& name, std::string_view job, const systemd::UnitFacts& unit);

} // namespace ctrd::bus
