// The parent's half of a start that first processes and exec share: clone, go, and turning reports into sentences.
#pragma once

#include "ctrd/base/deadline.hpp"
#include "ctrd/base/fd.hpp"
#include "ctrd/runtime/child.hpp"

namespace ctrd::runtime {

struct CloneResult {
    pid_t pid{-1};
    UniqueFd pidfd{};
};

/// clone3(2) into `cgroup` (empty: the caller's). The child runs `entry` and never returns.
Result<CloneResult> clone_child(std::uint64_t flags, const std::string& cgroup, bool as_sibling,
                                void (*entry)(ChildContext&) noexcept, ChildContext& context);

/// Descriptors for the payload, moved above the numbers that they will get.
Result<std::vector<UniqueFd>> lift_descriptors(const std::vector<int>& fds);

/// rlimits and oom_score_adj of a child that has not begun yet.
Result<void> set_limits(pid_t pid, const oci::Process& process);

Result<void> send_go(int sync);

struct Outcome {
    UniqueFd notify_fd{};
    bool waiting{false}; // stopped at its start socket; otherwise the payload runs
};

/// Reads reports until the exec, the stop at the start socket, a failure, or the deadline.
Result<Outcome> await_exec(int sync, const plan::Plan* plan, const plan::ProcessPlan& process,
                           const Deadline& deadline);

} // namespace ctrd::runtime
