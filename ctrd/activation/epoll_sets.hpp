// A program may watch a socket before it binds it (Boost.Asio does). epoll knows it by its open file, which is another
// one after the exchange: nothing would ever be heard of it again.
#pragma once

#include "ctrd/activation/caller.hpp"

#include <vector>

namespace ctrd::activation {

/// One of the caller's epoll sets that has its socket, under the number that it binds.
struct EpollEntry {
    UniqueFd set{};
    std::uint32_t events{0};
    std::uint64_t data{0};
};

/// Those of its own process; sets that it shares with others are among them.
Result<std::vector<EpollEntry>> find_epoll_entries(const BindRequest& request, const Caller& caller);

/// The listener in place of what was there, with the same number, events and data.
Result<void> enter(const EpollEntry& entry, int listener, int number);

} // namespace ctrd::activation
