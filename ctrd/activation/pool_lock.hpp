// Order among the instances of a warm pool and those who start and end them, by two files beside the container's
// config.
#pragma once

#include "ctrd/base/fd.hpp"

#include <string_view>

namespace ctrd::activation {

enum class PoolLock {
    /// Alone: who counts the instances that wait and starts more.
    filling,
    /// Shared: an instance, from before its accept until it has told systemd that it is connected. Alone: who ends
    /// those
    /// that wait, so that none of them has somebody whom nobody knows of.
    accepting,
};

/// Not held yet; ENOENT: the container is not declared any more.
Result<UniqueFd> open_pool_lock(std::string_view container, PoolLock which);

/// Waits for it; `how` is flock(2)'s LOCK_SH or LOCK_EX. It is let go by LOCK_UN, or with the descriptor.
Result<void> hold(const UniqueFd& lock, int how);

} // namespace ctrd::activation
