// Sockets of those who call us: where a terminal or a pidfd is to go.
#pragma once

#include "ctrd/base/fd.hpp"

namespace ctrd::ctr_oci {

/// `what` is for the message.
Result<UniqueFd> connect_unix(const std::string& path, int type, const std::string& what);

/// --pidfd-socket: connected early, so that a wrong path fails before anything has started.
class PidfdSocket {
public:
    static Result<PidfdSocket> connect(const std::string& path); // empty: none is wanted
    Result<void> send(int pidfd) const;

private:
    explicit PidfdSocket(UniqueFd socket) : socket_{std::move(socket)} {}
    UniqueFd socket_;
};

} // namespace ctrd::ctr_oci
