// The service manager, asked one question at a time: for programs that wait for each answer (ctrctl). ctrd, which must
// never wait, has its own asynchronous calls.
#pragma once

#include "ctrd/base/result.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

struct sd_bus;

namespace ctrd::systemd {

struct UnitState {
    std::string load{};     // "loaded", "not-found", ...
    std::string active{};   // "active", "inactive", "failed", "activating", "deactivating", "reloading"
    std::string result{};   // "success", "exit-code", ...; of a service or socket
    std::uint64_t since{0}; // microseconds since 1970 when it became active; 0: never

    [[nodiscard]] bool up() const { return active == "active" || active == "activating" || active == "reloading"; }
    [[nodiscard]] bool failed() const { return active == "failed"; }
};

/// One of several units that systemd knows.
struct ListedUnit {
    std::string name{};
    std::string active{}; // as UnitState has it
    bool has_job{false};  // something is to become of it
};

/// A socket unit and what it listens on ("0.0.0.0:8080", "[::]:80", "/run/x.sock").
struct ListeningUnit {
    std::string unit{};
    std::vector<std::string> addresses{};
};

class ManagerClient {
public:
    /// Over the system bus; a hint says what can be done where there is none.
    static Result<ManagerClient> open();
    /// Without the bus in between where that can be, as root: half the time for each question.
    static Result<ManagerClient> open_directly();

    /// `systemctl daemon-reload`: returns when the generators have run and all units are read again.
    Result<void> reload();
    // Each waits for its job. An error names the unit and the job's result.
    Result<void> start(const std::string& unit);
    Result<void> stop(const std::string& unit);
    /// How many of them come up. Where another job is in the way, a unit is not started. `asked` is called when systemd
    /// knows of all.
    Result<std::size_t> start_together(const std::vector<std::string>& units, const std::function<void()>& asked);
    /// Does not wait.
    Result<void> begin_stop(const std::string& unit);
    /// A signal to all its processes.
    Result<void> kill(const std::string& unit, int signal);
    Result<void> restart(const std::string& unit);
    /// That a unit has failed is forgotten.
    Result<void> reset_failed(const std::string& unit);

    /// `unit` ends in ".service" or ".socket".
    Result<UnitState> state(const std::string& unit);
    /// All that match, whatever their state.
    Result<std::vector<ListedUnit>> units_like(const std::string& pattern);
    /// What a service says of itself (STATUS=).
    Result<std::string> status_text(const std::string& unit);
    /// Microseconds since 1970 when its start began; 0: never.
    Result<std::uint64_t> start_began(const std::string& unit);
    /// Every active socket unit.
    Result<std::vector<ListeningUnit>> listening_units();

private:
    struct Close {
        void operator()(sd_bus* bus) const noexcept;
    };
    explicit ManagerClient(sd_bus* bus) : bus_{bus} {}
    Result<void> run_job(const char* method, const std::string& unit);

    std::unique_ptr<sd_bus, Close> bus_;
};

} // namespace ctrd::systemd
