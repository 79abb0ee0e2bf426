#include "ctrd/bus/leader.hpp"

#include "ctrd/activation/late_bind.hpp"
#include "ctrd/base/process.hpp"

#include <cerrno>

namespace ctrd::bus {

Result<std::uint64_t> verify_leader(const std::string& container, pid_t leader) {
    const std::uint64_t started = TRY(start_time(leader));
    if (activation::container_of_cgroup(TRY(cgroup_of(leader))) != container)
        return fail(os_error(ESRCH, "its first process has ended"));
    return started;
}

} // namespace ctrd::bus
