// A process that does nothing but be there: systemd makes no scope without one in it.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

namespace ctrd::ctr_oci {

class Placeholder {
public:
    /// Shares our memory and descriptors: it costs next to nothing, and ends with us.
    static Result<Placeholder> make();
    Placeholder(Placeholder&& other) noexcept;
    Placeholder& operator=(Placeholder&&) = delete;
    ~Placeholder();

    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] int pidfd() const { return pidfd_.get(); }

private:
    Placeholder(pid_t pid, int pidfd) : pid_{pid}, pidfd_{pidfd} {}
    pid_t pid_;
    UniqueFd pidfd_;
};

} // namespace ctrd::ctr_oci
