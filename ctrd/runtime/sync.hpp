// What parent and child say to each other during a start, in this order:
//
//     parent                                child
//       | --- clone3 --------------------->  | applies the plan at once, while the parent goes on
//       | id maps, devices, hooks' state     |   (with any of these it waits first)
//       | --- begin ---------------------->  |
//       | <-- runtime_hooks ---------------  | only with createRuntime hooks: the child waits while they run
//       | --- go_on ---------------------->  | the other steps, then it waits
//       | <-- prepared --------------------  | only where a connection is to come
//       | record, MAINPID, ...               |
//       | --- connection (with the fd) --->  | only there
//       | --- go ------------------------->  | the payload's identity
//       | <-- notify_fd (with the fd) -----  | only with intercept_bind
//       | <-- waiting ---------------------  | only with a start socket; then goes on over that one
//       | <-- seccomp_fd ------------------  | only where the profile notifies: the child waits until it is taken
//       | --- go_on ---------------------->  |
//       | <-- exec_now --------------------  | execve
//       | <-- (end of file) ---------------  | CLOEXEC closed the socket: the payload runs
//
// At any point the child may send a failure instead and exit. The end of file alone means that it died.
#pragma once

#include "ctrd/base/result.hpp"

#include <cstdint>

namespace ctrd::runtime {

enum class Stage : std::uint32_t {
    begin = 1,
    go,
    go_on,
    runtime_hooks,
    prepared,
    connection,
    notify_fd,
    seccomp_fd, // `index`: the descriptor's number in the child
    waiting,
    exec_now,
    step_failed,     // `index`: into Plan::steps
    identity_failed, // `index`: an IdentityStep
    limit_failed,    // `index`: into Process::rlimits
    exec_failed,
    create_hook_failed, // `index`: into Hooks::create_container; `error`: see run_prepared_hook
    start_hook_failed,
};

enum class IdentityStep : std::uint32_t {
    join,
    session,
    keyring,
    terminal,
    umask,
    apparmor,
    selinux,
    personality,
    memory_policy,
    cwd,
    seccomp,
    bind_filter,
    bounding,
    groups,
    ids,
    capabilities,
    no_new_privileges,
    descriptors,
    start_socket,
};

/// Fixed size: the child sends it from its stack without allocating.
struct Report {
    Stage stage{};
    std::uint32_t index{0};
    std::int32_t error{0};
};

/// What goes with a connection.
struct ConnectionReport {
    Report report{Stage::connection};
    char address[48]{}; // of who is connected, as text with its zero; empty: it is no IP address
    char port[8]{};
};

} // namespace ctrd::runtime
