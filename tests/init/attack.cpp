// A listener, or a connection accepted from it, is a socket of the host's network. These are the ways to make one a
// client, or a server, there.
#include "tests/init/payload.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace payload {
namespace {

union Address {
    sockaddr any;
    sockaddr_in four;
    sockaddr_in6 six;
};

int family_of(int fd) {
    int family = 0;
    socklen_t size = sizeof family;
    ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
    return family;
}

/// 127.0.0.1, as the socket's own family writes it.
Address loopback(int fd, std::uint16_t port) {
    Address address{};
    if (family_of(fd) == AF_INET6) {
        address.six.sin6_family = AF_INET6;
        address.six.sin6_port = htons(port);
        ::inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.six.sin6_addr);
    } else {
        address.four.sin_family = AF_INET;
        address.four.sin_port = htons(port);
        address.four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    return address;
}

socklen_t size_of(const Address& address) {
    return address.any.sa_family == AF_INET6 ? sizeof address.six : sizeof address.four;
}

void print(const char* what, const char* how, int result) {
    std::printf("%s, %s: %s\n", what, how, result < 0 ? std::strerror(errno) : "SUCCEEDED");
}

/// Back to a socket that is neither connected nor listening.
void reset(int fd) {
    sockaddr nothing{};
    nothing.sa_family = AF_UNSPEC;
    ::connect(fd, &nothing, sizeof nothing);
}

void try_connect(const char* what, int fd, std::uint16_t target) {
    const Address address = loopback(fd, target);
    print(what, "connect", ::connect(fd, &address.any, size_of(address)));
    reset(fd);
}

void try_fast_open(const char* what, int fd, std::uint16_t target) {
    const Address address = loopback(fd, target);
    print(what, "fast open",
          static_cast<int>(::sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &address.any, size_of(address))));
    reset(fd);
}

void try_bind(const char* what, int fd) {
    const Address address = loopback(fd, 9499);
    print(what, "bind", ::bind(fd, &address.any, size_of(address)));
    reset(fd);
}

/// ctrd looks after READY and makes it listen: who is overtaken by that tries again.
void try_connect_shut_down(const char* what, int fd, std::uint16_t target) {
    const Address address = loopback(fd, target);
    int result = 0;
    do {
        ::shutdown(fd, SHUT_RDWR);
        result = ::connect(fd, &address.any, size_of(address));
    } while (result < 0 && errno == EISCONN);
    print(what, "connect", result);
    reset(fd);
}

/// No way out, but one in, which the kernel lets nobody close: see docs/security.md. It is printed, so that a kernel
/// that changes this is noticed.
void try_listen(const char* what, int fd) {
    const int result = ::listen(fd, 1);
    std::printf("%s, listen: %s\n", what, result < 0 ? std::strerror(errno) : "possible");
    ::shutdown(fd, SHUT_RDWR);
}

int make_listener(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 || ::listen(fd, 16) < 0) {
        std::printf("bind: %s\n", std::strerror(errno));
        return -1;
    }
    return fd;
}

} // namespace

int attack(int listener, std::uint16_t port, std::uint16_t target) {
    if (listener < 0)
        listener = make_listener(port);
    if (listener < 0)
        return 1;
    const int accepted = ::accept(listener, nullptr, nullptr);
    if (accepted < 0)
        return 1;
    reset(accepted);
    try_connect("accepted", accepted, target);
    try_fast_open("accepted", accepted, target);
    try_bind("accepted", accepted);
    try_listen("accepted", accepted);
    try_connect_shut_down("listener", listener, target);
    try_fast_open("listener", listener, target); // no bind: one that was bound by number keeps it
    std::puts("attack over");
    return 0;
}

int control(std::uint16_t target) {
    const int listener = make_listener(9498);
    const int client = ::socket(AF_INET, SOCK_STREAM, 0);
    const Address address = loopback(client, 9498);
    if (listener < 0 || ::connect(client, &address.any, size_of(address)) < 0)
        return 1;
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(::unshare(CLONE_NEWNET) == 0 ? attack(listener, 0, target) : 2);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

} // namespace payload
