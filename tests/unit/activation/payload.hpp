// A stand-in for a payload: a child that loads the bind filter, sends its listener here, and does what it is told.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/plan/bind_filter.hpp"

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <functional>

namespace ctrd::activation {

class Payload {
public:
    /// `body` runs in the child; its result is the exit code.
    explicit Payload(const std::function<int()>& body) {
        auto pair = make_socket_pair();
        REQUIRE(pair);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            const auto filter = plan::bind_filter();
            const sock_fprog program{static_cast<unsigned short>(filter.size()),
                                     const_cast<sock_filter*>(filter.data())};
            const UniqueFd listener{static_cast<int>(
                ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program))};
            const int fds[] = {listener.get()};
            [[maybe_unused]] auto sent = send_fds(pair->theirs.get(), "n", fds);
            ::close(listener.get());
            ::_exit(body());
        }
        auto message = receive_fds(pair->ours.get());
        REQUIRE(message);
        REQUIRE(message->fds.size() == 1);
        notify_ = std::move(message->fds.front());
    }
    ~Payload() {
        if (pid_ > 0)
            ::kill(pid_, SIGKILL);
        [[maybe_unused]] const int code = end();
    }
    Payload(const Payload&) = delete;
    Payload& operator=(const Payload&) = delete;

    [[nodiscard]] int notify_fd() const { return notify_.get(); }
    [[nodiscard]] pid_t pid() const { return pid_; }

    /// True when a request waits; false when the payload is gone. Neither within two seconds fails the test.
    bool wait_request() const {
        pollfd waiting{notify_.get(), POLLIN, 0};
        REQUIRE(::poll(&waiting, 1, 2000) == 1);
        return (waiting.revents & POLLIN) != 0;
    }

    int end() {
        if (pid_ <= 0)
            return -1;
        const auto code = wait_exit(std::exchange(pid_, -1));
        return code ? *code : -1;
    }

private:
    pid_t pid_{-1};
    UniqueFd notify_;
};

inline int bind_ip(int fd, int family, std::uint16_t port) {
    if (family == AF_INET) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ? errno : 0;
    }
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ? errno : 0;
}

inline std::uint16_t port_of(int fd) {
    sockaddr_in6 address{};
    socklen_t size = sizeof address;
    return ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0 ? std::uint16_t{0}
                                                                               : ntohs(address.sin6_port);
}

inline UniqueFd bind_loopback(std::uint16_t port) {
    UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return fd;
}

/// The host's listening socket, on a free port that is asked for by number, as a socket unit does: the kernel keeps
/// such a port through a shutdown().
inline UniqueFd make_listener(int backlog = 16) {
    const std::uint16_t port = port_of(bind_loopback(0).get());
    UniqueFd fd = bind_loopback(port);
    REQUIRE(::listen(fd.get(), backlog) == 0);
    return fd;
}

} // namespace ctrd::activation
