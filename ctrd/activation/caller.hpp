// Who waits in a bind, and what it made of its socket before.
#pragma once

#include "ctrd/activation/listener.hpp"
#include "ctrd/activation/request.hpp"

namespace ctrd::activation {

struct Caller {
    UniqueFd pidfd{}; // leads to its descriptors
    UniqueFd socket{};
    SocketFacts facts{};
    bool nonblocking{false};
    bool close_on_exec{false};
};

/// A pidfd that leads to the thread's descriptors.
Result<UniqueFd> open_caller(pid_t thread);

/// What is learnt from a pid counts only when `still_waits` says afterwards that it is the caller's still.
Result<Caller> look_at_caller(const BindRequest& request);

/// The number after `key` on its line of a /proc file; nothing where it is not there.
std::optional<std::uint64_t> field(std::string_view text, std::string_view key, int base);

} // namespace ctrd::activation
