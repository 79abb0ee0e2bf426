// Host listeners: what one is, where to find it again, how to set right what a payload did to it.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

#include <cstdint>

namespace ctrd::activation {

struct SocketFacts {
    std::uint64_t inode{0};
    int family{0};
    int type{0};
    int protocol{0};
    bool listening{false};

    [[nodiscard]] bool is_ip() const noexcept;
};
Result<SocketFacts> look_at(int socket);

/// As long as the host allows (net.core.somaxconn).
constexpr int longest_backlog = 0x7fffffff;

/// A payload's listen(fd, 5) shrinks the queue of the socket that it shares with the host for good, and its shutdown()
/// stops the listening: this sets both right. Harmless at any time.
Result<void> restore_backlog(int listener, int backlog = longest_backlog);

/// A descriptor of `pid` for the socket with this inode number, found in its /proc/PID/fd. ENOENT: it has none.
Result<UniqueFd> take_socket_of(pid_t pid, std::uint64_t inode);
/// The same for a pipe.
Result<UniqueFd> take_pipe_of(pid_t pid, std::uint64_t inode);

/// The listener again: out of the service manager, which holds every listener of a socket unit, else out of the
/// processes in `cgroup` (a path below the cgroup mount; its sub-groups too).
Result<UniqueFd> take_listener(std::uint64_t inode, const std::string& cgroup);

} // namespace ctrd::activation
