#include "tools/ctr-run/leader.hpp"

#include "ctrd/activation/late_bind.hpp"
#include "ctrd/base/process.hpp"

#include <cerrno>

namespace ctrd::run {

Result<UniqueFd> open_leader(const std::string& name, pid_t leader, std::uint64_t leader_start) {
    const Error gone = os_error(ESRCH, "the container that this was meant for has ended");
    // Opened first, checked second: from here on the number can't become somebody else's unnoticed.
    auto pidfd = open_pidfd(leader);
    const auto started = start_time(leader);
    if (!pidfd || !started || *started != leader_start)
        return fail(gone);
    if (activation::container_of_cgroup(TRY(cgroup_of(leader))) != name)
        return fail(bad_input("process " + std::to_string(leader) + " is not one of this container"));
    return std::move(*pidfd);
}

} // namespace ctrd::run
