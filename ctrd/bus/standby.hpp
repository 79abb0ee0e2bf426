// Looks after the containers that go back to a standby when nobody is connected to them: finds out when that is, and
// freezes or stops them so that no connection is lost; and wakes the frozen ones.
//
// Its memory is the kernel's and systemd's: a ctrd that was killed at any point goes on where that one was. There is a
// timer only while such a container runs, and nothing at all while it stands still but the wait for a connection.
#pragma once

#include "ctrd/activation/record.hpp"
#include "ctrd/base/fd.hpp"
#include "ctrd/bus/event.hpp"
#include "ctrd/bus/view.hpp"
#include "machined-plugin/units.hpp"

#include <functional>
#include <map>
#include <memory>

namespace ctrd::bus {

class Standby {
public:
    /// Whether a command of ctrctl's or a session of machined's is at work in the container.
    using IsUsed = std::function<bool(const std::string& container)>;
    Standby(sd_event* event, systemd::Units& units, IsUsed is_used);
    ~Standby();
    Standby(const Standby&) = delete;
    Standby& operator=(const Standby&) = delete;

    /// After any change of its unit or its declaration, and when it has begun to run.
    void look_at(const Container& container);

    /// The first look of this ctrd. Whatever the last one, killed at any point, has left frozen without a reason that
    /// still holds runs again, also in a container that has no standby.
    void recover(const Container& container);

    /// A frozen one is to run for another while.
    void wake(const std::string& name);

    /// We are asked to go: nobody would wake them.
    void wake_all();

    /// "created", "frozen", or nothing.
    [[nodiscard]] std::string phase_of(const std::string& name) const;

    /// Told when `phase_of` has changed by itself.
    void on_phase(std::function<void(const std::string& name)> changed) { phase_changed_ = std::move(changed); }

private:
    struct Watch;
    struct Usage;

    void begin(const Container& container);
    void arm(Watch& watch, std::chrono::microseconds delay);
    void look_again_later(Watch& watch);
    void check(Watch& watch);
    Result<Usage> usage_of(Watch& watch) const;
    Result<bool> has_come(const Watch& watch) const;
    void go_to_standby(Watch& watch);
    Result<bool> stand_still(Watch& watch);
    void stop_losslessly(Watch& watch);
    void end_run(Watch& watch, bool renew);
    void fall_asleep(Watch& watch);
    Result<void> await_connection(Watch& watch);
    void wake(Watch& watch);
    static int on_timer(sd_event_source* source, std::uint64_t time, void* userdata) noexcept;
    static int on_connection(sd_event_source* source, int fd, std::uint32_t events, void* userdata) noexcept;

    sd_event* event_;
    systemd::Units& units_;
    IsUsed is_used_;
    std::function<void(const std::string& name)> phase_changed_{};
    std::map<std::string, std::unique_ptr<Watch>> watches_;
};

} // namespace ctrd::bus
