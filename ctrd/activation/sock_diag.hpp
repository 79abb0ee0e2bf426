// NETLINK_SOCK_DIAG, as far as we need it: what the kernel knows of an IP socket that we hold, and of the connections
// that came in by one. Asked in our own network namespace.
#pragma once

#include "ctrd/base/result.hpp"

#include <cstdint>
#include <functional>

namespace ctrd::activation {

/// INET_DIAG_CGROUP_ID of the socket, found by its cookie.
Result<std::uint64_t> cgroup_id_of_socket(int socket);

struct DiagSocket {
    int state{0};            // TCP_LISTEN, TCP_ESTABLISHED, ... of <netinet/tcp.h>
    std::uint32_t inode{0};  // 0: no process has it; it waits to be accepted, or the kernel finishes what was closed
    std::uint32_t queued{0}; // of a listener: connections that wait to be accepted
    std::uint64_t cgroup{0}; // in which it, or the listener that it came by, was made; 0 where the kernel has none
};

/// Every socket of this family and protocol (IPPROTO_TCP, IPPROTO_UDP) on this local port, listeners too.
Result<void> for_each_ip_socket(int family, int protocol, std::uint16_t port,
                                const std::function<void(const DiagSocket&)>& visit);
/// Every TCP socket of this family on this local port, listeners too.
Result<void> for_each_tcp_socket(int family, std::uint16_t port, const std::function<void(const DiagSocket&)>& visit);

} // namespace ctrd::activation
