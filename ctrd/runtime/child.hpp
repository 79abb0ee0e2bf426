// The child's side of a start: system calls, a number on failure, and nothing else. No allocation, no locale, no NSS,
// no destructor that matters: after clone(2) the child owns a copy of the parent's memory in an unknown state.
#pragma once

#include "ctrd/plan/plan.hpp"
#include "ctrd/runtime/container.hpp"
#include "ctrd/runtime/prepared.hpp"
#include "ctrd/runtime/sync.hpp"

namespace ctrd::runtime {

struct ChildContext {
    const plan::Plan* plan{nullptr}; // null for exec
    const plan::ProcessPlan* process{nullptr};
    const Prepared* prepared{nullptr};
    const PreparedProcess* payload{nullptr};
    int sync{-1};
    int parent_end{-1};         // our copy of the parent's end: closed first, or its death would not be seen
    bool waits_to_begin{false}; // the steps need what the parent does after the clone
    bool sets_limits{false};    // its own: not where the parent has set them, with rights that we don't have
    int start_socket{-1};
    int console_socket{-1};
    int output{-1};               // becomes the payload's standard output and error
    int init{-1};                 // becomes PID 1, and the payload its child; above 3 + pass_count
    const int* pass_fds{nullptr}; // all above 3 + pass_count
    unsigned pass_count{0};
    TakesConnection takes_connection{TakesConnection::no};
    bool intercept_bind{false};
    bool new_keyring{true};
    bool plain_newlines{false};
    int join_pidfd{-1}; // exec: the leader whose namespaces are joined
    int join_flags{0};
    int creating_state{-1}; // files with the container's state for its hooks; above 3 + pass_count
    int created_state{-1};
    bool in_user_namespace{false}; // exec: become the root of the user namespace that is, or was, joined
    bool dies_with_parent{false};

    // While it runs:
    int connection{-1}; // the one that came, to be passed
    int root{-1};       // the rootfs; after the pivot "/"
    int terminal{-1};   // slave of the payload's terminal
    int mask_tmpfs{-1};
    int node_folder{-1}; // where the last device or link was made: mostly the next goes there too
    char node_folder_path[64]{};
};

/// The first process of a container: waits for `go`, applies every step, becomes the payload.
[[noreturn]] void run_first_process(ChildContext& context) noexcept;

/// One more process: joins, becomes the payload.
[[noreturn]] void run_exec_process(ChildContext& context) noexcept;

/// Blocks until the parent says this. Its death before that is ours: a start leaves no trace.
void wait_for(const ChildContext& context, Stage stage) noexcept;

/// steps.cpp: one step; 0 or an errno. What reports its own failure does not return.
int apply_step(ChildContext& context, const plan::Step& step, const Source& source) noexcept;
/// terminal.cpp: a new terminal of the container's devpts, its master sent to the console socket; 0 or an errno.
int open_terminal(ChildContext& context, const std::optional<oci::ConsoleSize>& size) noexcept;
/// identity.cpp: from session to exec; returns only by reporting a failure and exiting.
[[noreturn]] void become_payload(ChildContext& context) noexcept;

/// One message with one descriptor; 0 or an errno. What base/fd.hpp does, without allocating.
int send_descriptor(int socket, const void* data, std::size_t size, int fd) noexcept;
bool report(const ChildContext& context, Stage stage, std::uint32_t index, int error) noexcept;
[[noreturn]] void give_up(const ChildContext& context, Stage stage, std::uint32_t index, int error) noexcept;
/// The same while the parent is not listening yet: it still looks at us by our pid, which nobody may reap before that.
[[noreturn]] void give_up_early(const ChildContext& context, Stage stage, std::uint32_t index, int error) noexcept;

} // namespace ctrd::runtime
