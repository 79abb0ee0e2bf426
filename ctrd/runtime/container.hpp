// The one way by which a container's first process comes to life, for ctr-oci and ctr-run alike:
//
//     parse (ctrd/oci) -> make_plan (ctrd/plan) -> Container::spawn -> ... -> Container::go
//
// After spawn() the container's PID 1 exists in its namespaces and cgroup. It applies the plan while the caller does
// what must be done before the payload runs (records, MAINPID=), and waits then for go(). An error, or destruction
// before go() has succeeded, kills the child by its pidfd: a start completes or leaves no trace.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/plan/plan.hpp"
#include "ctrd/runtime/hooks.hpp"

#include <sys/types.h>

#include <chrono>
#include <optional>

namespace ctrd::runtime {

struct SeccompFilter;
struct Peer;

/// Whether the payload is for one connection that comes when all but the last steps to the program are done; and what
/// that becomes: its standard input and output, or its descriptor 3.
enum class TakesConnection { no, stdio, passed };

/// Who is connected, as text; both empty where it is no IP address.
struct PeerName {
    std::string address{};
    std::string port{};
};

struct SpawnOptions {
    /// Absolute path of an existing cgroup v2 folder to be born in; empty: stay in the caller's.
    std::string cgroup{};
    /// CLONE_PARENT with exit_signal 0: our own parent (the service manager) reaps the child, not we.
    bool as_sibling{false};
    /// Where to send the terminal's master end (runc's --console-socket protocol), for process.terminal.
    int console_socket{-1};
    /// The terminal does not write a carriage return before each newline: for whoever reads its output from a pipe.
    bool plain_newlines{false};
    /// The payload's standard output and error; -1: ours. Not for process.terminal.
    int output{-1};
    /// Descriptors that the payload gets as 3, 4, ... (--preserve-fds, LISTEN_FDS); -1: none of that number.
    std::vector<int> pass_fds{};
    /// LISTEN_PID must be the payload's own pid: with this, LISTEN_FDS=<pass_fds> and LISTEN_PID are added to its
    /// environment, and LISTEN_FDNAMES=<value>.
    std::optional<std::string> listen_fdnames{};
    /// Not together with pass_fds. REMOTE_ADDR and REMOTE_PORT are added to the payload's environment.
    TakesConnection takes_connection{TakesConnection::no};
    /// Install the notification filter on bind(2) (ctrd/activation) and hand its descriptor out by take_notify_fd().
    bool intercept_bind{false};
    /// Give the payload a session keyring of its own, so that it does not possess the caller's keys.
    bool new_keyring{true};
    /// A program that becomes PID 1 in place of the payload, executed by descriptor: it comes from the host, whatever
    /// the image holds. It gets `init_args` and after them the payload's own, which it runs as its child.
    int init{-1};
    std::vector<std::string> init_args{};
    /// A listening SOCK_SEQPACKET unix socket: the child stops there, all set up, until somebody connects and then
    /// reports the exec over that connection (`ctr-oci create` / `start`). go() then returns when it is set up.
    int start_socket{-1};
    /// What hooks and a seccomp agent are told of the container.
    StateFacts state{};
};

class Container {
public:
    /// Opens what the plan names on the host, makes the process, writes its id maps and limits.
    static Result<Container> spawn(const plan::Plan& plan, const SpawnOptions& options);

    Container(Container&&) noexcept = default;
    Container& operator=(Container&&) noexcept = default;
    ~Container(); // kills the child unless released

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }

    /// With `takes_connection`: returns when the child is as far as it comes without one. A step that fails comes back
    /// as from go().
    Result<void> await_prepared(std::chrono::milliseconds timeout);
    /// And here it is, for go().
    Result<void> give_connection(int connection, const PeerName& name);

    /// Lets the child become the payload. Returns when the payload's execve has succeeded (or, with a start_socket,
    /// when it waits there). A step that fails comes back as a sentence with step, path and cause.
    Result<void> go(std::chrono::milliseconds timeout);

    /// The seccomp notification descriptor, if intercept_bind was asked for. Valid after go().
    UniqueFd take_notify_fd() noexcept { return std::move(notify_fd_); }

    /// The resctrl group that goes with the container (remove_rdt); empty: none.
    [[nodiscard]] const std::string& rdt_folder() const noexcept { return rdt_folder_; }

    /// From here on the child lives on whatever happens to us.
    void release() noexcept { released_ = true; }

private:
    [[nodiscard]] Peer peer() const;
    Container(const plan::Plan& plan, StateFacts state, pid_t pid, UniqueFd pidfd, UniqueFd sync);

    const plan::Plan* plan_;
    StateFacts state_;
    pid_t pid_{-1};
    UniqueFd pidfd_;
    UniqueFd sync_;
    UniqueFd notify_fd_;
    std::string rdt_folder_{};
    bool own_child_{true};
    bool prepared_{false};
    bool released_{false};
};

/// `ctr-oci start`: over the connection to the start socket, until the execve of the payload's process has succeeded.
/// Its pidfd was opened before the connection was made: afterwards it may be gone at any moment.
struct Waiting {
    int connection{-1};
    pid_t pid{0};
    int pidfd{-1};
};
Result<void> await_start(const Waiting& waiting, const plan::Plan& plan, const StateFacts& state,
                         std::chrono::milliseconds timeout);

/// What `exec` adds to a running container: one more process with the container's own rights.
struct ExecOptions {
    int console_socket{-1};
    /// The terminal does not write a carriage return before each newline: for whoever reads its output from a pipe.
    bool plain_newlines{false};
    /// The slave of a terminal of the container's devpts that somebody else has opened: it becomes the process'
    /// controlling terminal, its user's, and its first three descriptors.
    int terminal{-1};
    std::vector<int> pass_fds{};
    /// Folders to be born in, "" for the leader's own: the first that has room for a process. A payload that gives its
    /// cgroup's controllers to cgroups below it leaves none in the cgroup itself. None at all: the leader's own.
    std::vector<std::string> cgroups{};
    /// Stay in the caller's cgroup instead, as the container did.
    bool keep_cgroup{false};
    bool new_keyring{true};
    /// Nobody waits for it: it does not die with us.
    bool detached{false};
    /// The process' profile, compiled already.
    const SeccompFilter* seccomp{nullptr};
    /// What a seccomp agent is told of the container.
    StateFacts state{};
    /// The resctrl group of the container's processes.
    std::optional<oci::IntelRdt> intel_rdt{};
};

/// Our child, in the container.
struct ExecProcess {
    pid_t pid{-1};
    UniqueFd pidfd{};
};

/// A process inside the container of `leader`, opened by its pidfd before the number was checked: it joins the
/// namespaces and a cgroup, then the same identity, capability, seccomp and exec steps as a first process. Returns once
/// the exec has succeeded.
Result<ExecProcess> exec_in(pid_t leader, int leader_pidfd, const plan::ProcessPlan& process,
                            const ExecOptions& options, std::chrono::milliseconds timeout);

} // namespace ctrd::runtime
