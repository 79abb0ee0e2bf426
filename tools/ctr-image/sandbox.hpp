// What the worker gives up before it reads the first byte of an image: the host's files (its root is the store), every
// network, all capabilities but those that unpacking takes, and the system calls that it does not need.
//
// It stays uid 0: with CAP_CHOWN and CAP_DAC_OVERRIDE another user would be no wall. The walls are that nothing of the
// host can be named, and that there is no way to get a name: no mount, no ptrace, no new namespace, no socket.
#pragma once

#include "ctrd/base/fd.hpp"

#include <span>

namespace ctrd::imaging {

struct Confined {
    UniqueFd store{};
};

/// `store` becomes the root. A folder among `inputs` is exchanged for a read-only mount of it that has no way up.
/// Single-threaded until it returns.
Result<Confined> confine(UniqueFd store, std::span<UniqueFd> inputs);

/// The last step, once what is dynamically loaded is there.
Result<void> limit_system_calls();

} // namespace ctrd::imaging
