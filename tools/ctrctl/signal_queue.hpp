// Signals as data, for a program that must clean up whatever comes.
#pragma once

#include "ctrd/base/fd.hpp"

#include <csignal>
#include <initializer_list>
#include <optional>

namespace ctrd::ctl {

/// The signals are blocked from open() on and read from a descriptor. They stay blocked when it goes: the process is
/// about to end then, and not to be ended.
class SignalQueue {
public:
    struct Signal {
        int number{0};
        bool from_kernel{false}; // the terminal's ^C, which every process in the foreground gets, not kill(2)
    };
    static Result<SignalQueue> open(std::initializer_list<int> signals);
    /// The mask as it was, in a child before it executes something else.
    void restore_mask() const noexcept;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// The next one, if there is any.
    [[nodiscard]] std::optional<Signal> next() const;

private:
    SignalQueue(UniqueFd fd, const sigset_t& before) : fd_{std::move(fd)}, before_{before} {}
    UniqueFd fd_;
    sigset_t before_;
};

} // namespace ctrd::ctl
