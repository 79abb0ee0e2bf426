// How ctrd comes back to its seat after it was stopped, killed or upgraded.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

#include <vector>

namespace ctrd::activation {

/// Every seccomp notification descriptor that `pid` holds, each open file once. The service manager (pid 1) keeps
/// those of the running containers in their units' descriptor stores.
Result<std::vector<UniqueFd>> take_notify_fds_from(pid_t pid);

/// Two descriptors of ours for one open file (kcmp). Where the kernel can't tell: false.
bool same_open_file(int one, int other) noexcept;

/// Nobody lives behind this filter any more: close the descriptor.
bool is_dead(int notify_fd) noexcept;

/// A bind whose request was received by a ctrd that died before it answered waits for ever. Freezing and thawing the
/// cgroup (a path below the cgroup mount) interrupts the call; the kernel restarts it and it is notified again.
/// What somebody else has frozen stays as it is: its thaw does the same.
Result<void> restart_interrupted_calls(const std::string& cgroup);

} // namespace ctrd::activation
