// The service's side of sd_notify(3), for the static programs: libsystemd has no static library.
#pragma once

#include "ctrd/base/fd.hpp"

#include <chrono>

namespace ctrd {

class Notifier {
public:
    /// From $NOTIFY_SOCKET; without it every call does nothing and succeeds. The variable is removed.
    static Result<Notifier> from_environment();

    /// Lines such as "READY=1", with descriptors for FDSTORE=1.
    Result<void> send(std::string_view state, std::span<const int> fds = {}) const;

    /// BARRIER=1: returns when the manager has processed everything sent before.
    Result<void> barrier(std::chrono::milliseconds timeout) const;

    [[nodiscard]] bool active() const noexcept { return static_cast<bool>(socket_); }

private:
    UniqueFd socket_;
};

} // namespace ctrd
