// Scopes for ctr-oci (scope_request.hpp). systemd keeps one for ever whose process has died while it was put in: so who
// has asked says "ok" when it has our answer, with its process alive and in there, and a scope for which nobody says it
// is stopped.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/bus/event.hpp"
#include "machined-plugin/units.hpp"

#include <list>

namespace ctrd::bus {

class Scopes {
public:
    Scopes(sd_event* event, systemd::Units& units) : event_{event}, units_{units} {}
    Scopes(const Scopes&) = delete;
    Scopes& operator=(const Scopes&) = delete;

    /// `asker` gets "done" or "error TEXT".
    void make(const systemd::ScopeRequest& request, pid_t pid, UniqueFd asker);

private:
    struct Made {
        Scopes* owner{nullptr};
        std::string unit{};
        UniqueFd asker{};
        EventSource source{};
    };
    void answer(const std::string& unit, UniqueFd asker, const Result<std::string>& end);
    void await_ok(const std::string& unit, UniqueFd asker);
    static int on_ok(sd_event_source* source, int fd, std::uint32_t events, void* userdata) noexcept;

    sd_event* event_;
    systemd::Units& units_;
    std::list<Made> made_{};
};

} // namespace ctrd::bus
