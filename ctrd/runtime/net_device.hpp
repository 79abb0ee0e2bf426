// linux.netDevices: devices of the host that move into the container's network namespace, with their lasting addresses.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/spec.hpp"

#include <sys/types.h>

namespace ctrd::runtime {

/// `pid`: a process of the container, our child. All names are checked before the first device moves, since what has
/// moved into a namespace that fails is lost with it.
Result<void> move_net_devices(const std::vector<oci::NetDevice>& devices, pid_t pid);

} // namespace ctrd::runtime
