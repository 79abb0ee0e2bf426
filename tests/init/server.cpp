#include "tests/init/payload.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace payload {
namespace {

volatile std::sig_atomic_t rebind = 0;
volatile std::sig_atomic_t done = 0;

int open_socket(std::uint16_t port, bool ipv6) {
    const int fd = ::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(port);
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    const int bound = ipv6 ? ::bind(fd, reinterpret_cast<const sockaddr*>(&six), sizeof six)
                           : ::bind(fd, reinterpret_cast<const sockaddr*>(&four), sizeof four);
    if (bound < 0 || ::listen(fd, 5) < 0) {
        std::printf("bind: %s\n", std::strerror(errno));
        ::close(fd);
        return -1;
    }
    return fd;
}

void answer(int client) {
    sockaddr_in6 peer{};
    socklen_t size = sizeof peer;
    char text[INET6_ADDRSTRLEN] = "?";
    if (::getpeername(client, reinterpret_cast<sockaddr*>(&peer), &size) == 0) {
        const void* address = peer.sin6_family == AF_INET6
                                  ? static_cast<const void*>(&peer.sin6_addr)
                                  : static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(&peer)->sin_addr);
        ::inet_ntop(peer.sin6_family, address, text, sizeof text);
    }
    ::dprintf(client, "peer %s\n", text);
    ::shutdown(client, SHUT_WR);
    ::close(client);
}

void on_signal(int signal) { (signal == SIGHUP ? rebind : done) = 1; }

} // namespace

int serve(std::uint16_t port, bool ipv6) {
    struct sigaction action {}; // no SA_RESTART: accept returns
    action.sa_handler = on_signal;
    ::sigaction(SIGHUP, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    int fd = open_socket(port, ipv6);
    if (fd < 0)
        return 1;
    while (done == 0) {
        const int client = ::accept(fd, nullptr, nullptr);
        if (client >= 0)
            answer(client);
        if (rebind != 0) {
            rebind = 0;
            ::close(fd);
            fd = open_socket(port, ipv6);
            std::puts(fd < 0 ? "rebind failed" : "rebound");
        }
    }
    return 0;
}

} // namespace payload
