// `run` and `exec` without --detach: we stand in front of the container's process until it ends.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/oci/spec.hpp"

#include <sys/types.h>

#include <optional>

namespace ctrd::ctr_oci {

/// Signals that a user or a service manager sends to us are meant for the process: blocked from here on, and passed to
/// it by wait(). With `console`, the socket at which its terminal arrives, the user's terminal is relayed to that one.
class Foreground {
public:
    explicit Foreground(int console);

    /// The process' exit status.
    [[nodiscard]] Result<int> wait(pid_t pid, int pidfd) const;

private:
    int console_;
    UniqueFd signals_;
};

/// The size of the terminal that is our standard input; nullopt: it is none, or nobody has set its size.
std::optional<oci::ConsoleSize> own_console_size() noexcept;

} // namespace ctrd::ctr_oci
