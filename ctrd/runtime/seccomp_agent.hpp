// linux.seccomp.listenerPath: who answers SCMP_ACT_NOTIFY gets the listener's descriptor (config-linux.md, "The
// Container Process State").
#pragma once

#include "ctrd/runtime/spawn.hpp"

namespace ctrd::runtime {

/// `number`: the listener in the process that waits. It is fetched from there, since a profile may notify of sendmsg.
Result<void> hand_to_agent(const Peer& peer, int number);

} // namespace ctrd::runtime
