// A program may watch a socket before it binds it (Boost.Asio does). epoll knows it by its open file, which is another
// one after the exchange: nothing would ever be heard of it again. And where the exchange is undone, the program would
// hear for ever of a listener that it can't reach any more.
#pragma once

#include "ctrd/activation/caller.hpp"

#include <vector>

namespace ctrd::activation {

/// One of a program's epoll sets that has a socket, under one of its numbers.
struct EpollEntry {
    UniqueFd set{};
    std::uint32_t events{0};
    std::uint64_t data{0};
};

/// Of the process that `pidfd` leads to and that `thread` is of: for its descriptor `number`, which is a socket with
/// this inode. Sets that it shares with others are among them.
Result<std::vector<EpollEntry>> find_epoll_entries(pid_t thread, int pidfd, int number, std::uint64_t inode);

/// `socket` in place of what was there, with the same number, events and data.
Result<void> enter(const EpollEntry& entry, int socket, int number);
/// No error where it is not there.
Result<void> leave(const EpollEntry& entry, int socket, int number);

} // namespace ctrd::activation
