// Holds a payload at its first instruction, so that READY=1 is said before it can do anything, such as end: systemd
// calls a service that ends before it was ready a failure, also where its exit status says success. For the length of
// the set-up we are its tracer; systemd learns of its death only after we are through with it, and with SIGKILL for us
// it is gone too.
#pragma once

#include <sys/types.h>

namespace ctrd::run {

class ExecStop {
public:
    /// Before the child is let go. Where the host forbids tracing, the child simply is not held.
    explicit ExecStop(pid_t child) noexcept;
    ~ExecStop(); // lets it run
    ExecStop(const ExecStop&) = delete;
    ExecStop& operator=(const ExecStop&) = delete;

    /// After its exec was seen to succeed: returns when it stands still, or is dead.
    void wait() const noexcept;

private:
    pid_t child_;
    bool attached_{false};
};

} // namespace ctrd::run
