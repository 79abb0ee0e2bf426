#include "tools/ctr-run/pool_listeners.hpp"

#include "ctrd/activation/guard.hpp"
#include "ctrd/activation/listener.hpp"
#include "ctrd/activation/pool_lock.hpp"
#include "ctrd/activation/refuse.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace ctrd::run {

std::vector<int> PoolListeners::fds() const {
    std::vector<int> all;
    for (const auto& one : handed_)
        all.push_back(one.fd.get());
    return all;
}

Result<void> PoolListeners::take(const std::string& name) {
    lock_ = TRY(activation::open_pool_lock(name, activation::PoolLock::accepting));
    handed_ = TRY(activation::listen_fds_from_environment());
    const std::string unit = "ctr-" + name + ".socket";
    const auto listens = [](int fd) {
        const auto facts = activation::look_at(fd);
        return facts && facts->type == SOCK_STREAM && facts->listening;
    };
    const std::vector<int> all = fds();
    if (all.empty() || !std::ranges::all_of(all, listens))
        return fail(Error{std::errc::not_a_socket, "no listening socket was handed over by the service manager",
                          "'" + unit + "' starts it; 'systemctl status " + unit + "' says how that one is"});
    TRY(activation::guard_listeners(all, unit));
    return {};
}

/// The others that wait are woken, too, and find nobody.
Result<UniqueFd> PoolListeners::accept(int pidfd) const {
    std::vector<pollfd> waiting{{pidfd, POLLIN, 0}};
    for (const int fd : fds())
        waiting.push_back({fd, POLLIN, 0});
    while (true) {
        if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR)
            return fail(os_error(errno, "cannot wait for a connection"));
        if (waiting.front().revents != 0)
            return UniqueFd{};
        TRY_VOID(activation::hold(lock_, LOCK_SH));
        for (std::size_t i = 1; i < waiting.size(); ++i)
            if (UniqueFd one{waiting[i].revents == 0 ? -1 : ::accept4(waiting[i].fd, nullptr, nullptr, SOCK_CLOEXEC)})
                return one;
        TRY_VOID(activation::hold(lock_, LOCK_UN));
    }
}

void PoolListeners::told() {
    [[maybe_unused]] auto unlocked = activation::hold(lock_, LOCK_UN); // the child has the descriptor, too
}

void PoolListeners::refuse_all() const { activation::refuse_clients(fds(), std::chrono::milliseconds{0}); }

runtime::PeerName peer_of(int connection) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getpeername(connection, reinterpret_cast<sockaddr*>(&address), &size) < 0)
        return {}; // gone already
    const auto* four = reinterpret_cast<const sockaddr_in*>(&address);
    const auto* six = reinterpret_cast<const sockaddr_in6*>(&address);
    char text[INET6_ADDRSTRLEN] = {};
    if (address.ss_family == AF_INET)
        ::inet_ntop(AF_INET, &four->sin_addr, text, sizeof text);
    else if (address.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        ::inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], text, sizeof text);
    else if (address.ss_family == AF_INET6)
        ::inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
    else
        return {};
    return {text, std::to_string(ntohs(four->sin_port))}; // at the same place in both families
}

} // namespace ctrd::run
