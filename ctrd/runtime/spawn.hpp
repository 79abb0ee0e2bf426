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

/// A namespace to be born in; `join` is where it comes from, for the message.
struct OpenNamespace {
    int clone_flag{0};
    UniqueFd fd{};
    const plan::JoinNamespace* join{nullptr};
};

struct CloneOptions {
    std::uint64_t flags{0};
    std::string cgroup{}; // empty: the caller's
    bool as_sibling{false};
    std::vector<OpenNamespace> joins{}; // in this order; a user namespace is the last
};

/// clone3(2). The child runs `entry` and never returns.
Result<CloneResult> clone_child(const CloneOptions& options, void (*entry)(ChildContext&) noexcept,
                                ChildContext& context);

/// Descriptors for the payload, moved above the numbers that they will get; -1 stays what it is.
Result<std::vector<UniqueFd>> lift_descriptors(const std::vector<int>& fds);

Result<void> send(int sync, Stage stage);

struct Outcome {
    UniqueFd notify_fd{};
    bool waiting{false}; // stopped at its start socket; otherwise the payload runs
};

/// Whom await_exec listens to, and what it needs to know of him.
struct Peer {
    int sync{-1};
    const plan::Plan* plan{nullptr}; // null for exec
    const plan::ProcessPlan* process{nullptr};
    int pidfd{-1};
    pid_t pid{0};
    const StateFacts* state{nullptr};
};

/// With takes_connection: answers reports until the peer waits for one.
Result<void> await_prepared(const Peer& peer, const Deadline& deadline);

/// Says go, unless the peer `has_gone` already, and answers reports until the exec, the stop at the start socket, a
/// failure, or the deadline.
Result<Outcome> await_exec(const Peer& peer, const Deadline& deadline, bool has_gone = false);

} // namespace ctrd::runtime
