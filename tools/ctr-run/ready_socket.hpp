// The payload's own NOTIFY_SOCKET, until it has said READY=1. Nothing but that is listened to: the payload's words
// never reach the service manager, to which they could also say which process is the main one, or store descriptors.
#pragma once

#include "ctrd/base/fd.hpp"

namespace ctrd::run {

class ReadySocket {
public:
    /// Bound to `path`, which is made.
    static Result<ReadySocket> open(const std::string& path);

    [[nodiscard]] int fd() const noexcept { return socket_.get(); }
    /// Takes what is there to be read; true when READY=1 was among it.
    [[nodiscard]] bool take();

private:
    explicit ReadySocket(UniqueFd socket) : socket_{std::move(socket)} {}
    UniqueFd socket_;
};

/// Whether a message of sd_notify(3) says READY=1.
bool says_ready(std::string_view message);

} // namespace ctrd::run
