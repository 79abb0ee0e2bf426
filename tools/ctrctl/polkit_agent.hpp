// polkit's text agent, so that a user at a terminal is asked for the password that a denied call needs.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

#include <utility>

namespace ctrd::ctl {

class PolkitAgent {
public:
    PolkitAgent() = default;
    /// Starts `pkttyagent --fallback` where it can help: not root, at a terminal, and it is installed. A missing agent
    /// is no error: polkit's answer then says what is missing.
    static PolkitAgent start();

    PolkitAgent(PolkitAgent&& other) noexcept : pid_{std::exchange(other.pid_, -1)} {}
    PolkitAgent& operator=(PolkitAgent other) noexcept {
        std::swap(pid_, other.pid_);
        return *this;
    }
    ~PolkitAgent(); // ends the agent

private:
    pid_t pid_{-1};
};

} // namespace ctrd::ctl
