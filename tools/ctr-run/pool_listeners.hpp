// The listening sockets of a container with a warm pool: its instances share them, and each accepts one connection.
#pragma once

#include "ctrd/activation/listen_fds.hpp"
#include "ctrd/runtime/container.hpp"

#include <vector>

namespace ctrd::run {

class PoolListeners {
public:
    /// Out of our environment, and guarded. not_a_socket: there are none, as while their unit is being stopped.
    Result<void> take(const std::string& name);
    /// Whoever is the first that this instance gets; nothing where the container was ended before. Nobody ends it until
    /// told().
    [[nodiscard]] Result<UniqueFd> accept(int pidfd) const;
    /// systemd knows that it is connected.
    void told();
    /// Those who wait now.
    void refuse_all() const;

private:
    [[nodiscard]] std::vector<int> fds() const;

    std::vector<activation::ListenFd> handed_{};
    UniqueFd lock_{};
};

/// As systemd tells it to services of connections.
runtime::PeerName peer_of(int connection);

} // namespace ctrd::run
