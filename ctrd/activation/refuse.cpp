#include "ctrd/activation/refuse.hpp"

#include "ctrd/base/deadline.hpp"
#include "ctrd/base/fd.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <vector>

namespace ctrd::activation {
namespace {

/// With nothing lingering, close sends a reset. A datagram is read and forgotten.
void refuse_one(int socket) {
    UniqueFd client{::accept4(socket, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    const linger none{1, 0};
    if (client)
        ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
    char byte = 0;
    if (!client && errno == EOPNOTSUPP)
        ::recv(socket, &byte, sizeof byte, MSG_DONTWAIT | MSG_TRUNC);
}

} // namespace

void refuse_clients(std::span<const int> listeners, std::chrono::milliseconds time) {
    unsigned rounds = 4096;
    std::vector<pollfd> waiting;
    for (const int fd : listeners)
        waiting.push_back({fd, POLLIN, 0});
    // In a storm there is always one more.
    for (const Deadline end{time}; !end.passed() || rounds-- > 0;) {
        const int ready = ::poll(waiting.data(), waiting.size(), end.poll_timeout());
        if (ready == 0 || (ready < 0 && errno != EINTR))
            return;
        for (auto& one : waiting) {
            if ((one.revents & POLLIN) != 0)
                refuse_one(one.fd);
            if ((one.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
                one.fd = -1; // listens no more; it would be ready for ever
        }
    }
}

} // namespace ctrd::activation
