// The first process of a running container, as ctrd names it in a request.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

#include <cstdint>

namespace ctrd::run {

/// Its pidfd. The pid was read by ctrd a moment ago; by now it could be any process of the host.
Result<UniqueFd> open_leader(const std::string& name, pid_t leader, std::uint64_t leader_start);

} // namespace ctrd::run
