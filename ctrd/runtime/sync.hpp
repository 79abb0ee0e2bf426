// What parent and child say to each other during a start, in this order:
//
//     parent                                child
//       | --- clone3 --------------------->  | blocked in wait_go
//       | id maps, limits, [cgroup, MAINPID] |
//       | --- go ------------------------->  | steps of the plan
//       | <-- notify_fd (with the fd) -----  | only with intercept_bind
//       | <-- waiting ---------------------  | only with a start socket; then goes on over that one
//       | <-- exec_now --------------------  | execve
//       | <-- (end of file) ---------------  | CLOEXEC closed the socket: the payload runs
//
// At any point the child may send a failure instead and exit. The end of file alone means that it died.
#pragma once

#include "ctrd/base/result.hpp"

#include <cstdint>

namespace ctrd::runtime {

enum class Stage : std::uint32_t {
    go = 1,
    notify_fd,
    waiting,
    exec_now,
    step_failed,     // `index`: into Plan::steps
    identity_failed, // `index`: an IdentityStep
    exec_failed,
};

enum class IdentityStep : std::uint32_t {
    join,
    session,
    keyring,
    terminal,
    umask,
    apparmor,
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

} // namespace ctrd::runtime
