#include "ctrd/runtime/spawn.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/base/sealed_self.hpp"
#include "ctrd/runtime/scheduling.hpp"
#include "ctrd/runtime/seccomp_agent.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

namespace ctrd::runtime {
namespace {

std::string_view identity_text(IdentityStep step) {
    switch (step) {
    case IdentityStep::join:
        return "cannot join the container's namespaces";
    case IdentityStep::session:
        return "cannot start a session on the terminal";
    case IdentityStep::keyring:
        return "cannot make a session keyring";
    case IdentityStep::terminal:
        return "cannot open a terminal of the container's /dev/pts";
    case IdentityStep::umask:
        return "cannot set the umask";
    case IdentityStep::apparmor:
        return "cannot set the AppArmor profile";
    case IdentityStep::selinux:
        return "cannot set the SELinux label";
    case IdentityStep::personality:
        return "cannot set the personality";
    case IdentityStep::memory_policy:
        return "cannot set the memory policy";
    case IdentityStep::cwd:
        return "cannot enter the working directory";
    case IdentityStep::seccomp:
        return "cannot load the seccomp profile";
    case IdentityStep::bind_filter:
        return "cannot load the bind filter";
    case IdentityStep::bounding:
        return "cannot drop capabilities from the bounding set";
    case IdentityStep::groups:
        return "cannot set the supplementary groups";
    case IdentityStep::ids:
        return "cannot become the user";
    case IdentityStep::capabilities:
        return "cannot set the capabilities";
    case IdentityStep::no_new_privileges:
        return "cannot set no_new_privs";
    case IdentityStep::descriptors:
        return "cannot pass the file descriptors";
    case IdentityStep::start_socket:
        return "cannot wait for 'start'";
    }
    return "cannot become the payload";
}

std::string_view hint_for(int error) {
    switch (error) {
    case ELOOP:
        return "the rootfs has a symbolic link on that path; none is followed to /proc, /sys or /dev";
    case EINVAL:
        return "see the kernel's log (dmesg) for what it did not like";
    case EPERM:
        return "the runtime lacks a privilege for this step; see the CapEff line of /proc/self/status";
    default:
        return {};
    }
}

Error identity_error(const Report& report, const plan::ProcessPlan& plan) {
    const auto step = static_cast<IdentityStep>(report.index);
    std::string text{identity_text(step)};
    if (step == IdentityStep::cwd)
        text += fmt::format(" '{}'", plan.process.cwd);
    else if (step == IdentityStep::ids)
        text += fmt::format(" {}:{}", plan.process.user.uid, plan.process.user.gid);
    else if (step == IdentityStep::apparmor)
        text += fmt::format(" '{}'", plan.process.apparmor_profile);
    return os_error(report.error, text);
}

Error exec_error(const Report& report, const plan::ProcessPlan& plan) {
    const std::string& program = plan.process.args.front();
    const bool searched = program.find('/') == std::string::npos;
    // In their hints are the words by which the docker command tells 127 and 126; it minds the case.
    const std::string text =
        fmt::format("cannot run '{}'{}", program, searched ? " (looked for in the container's PATH)" : "");
    if (report.error == ENOENT)
        return os_error(ENOENT, text,
                        "executable file not found in the rootfs, or the interpreter that it names is not");
    if (report.error == EACCES)
        return os_error(EACCES, text, "permission denied is also what a folder gets, and a file of a noexec mount");
    if (report.error == ENOEXEC)
        return os_error(ENOEXEC, text, "it is for another machine, or a script without a first line '#!...'");
    return os_error(report.error, text);
}

Error to_error(const Report& report, const plan::Plan* plan, const plan::ProcessPlan& process) {
    if (report.stage == Stage::step_failed && plan != nullptr && report.index < plan->steps.size())
        return os_error(report.error,
                        fmt::format("step {}/{}: {}", report.index + 1, plan->steps.size(),
                                    plan::describe(plan->steps[report.index])),
                        hint_for(report.error));
    if (report.stage == Stage::exec_failed)
        return exec_error(report, process);
    if (report.stage == Stage::identity_failed)
        return identity_error(report, process);
    if (report.stage == Stage::limit_failed && report.index < process.process.rlimits.size())
        return limit_error(report.error, process.process.rlimits[report.index]);
    if (plan != nullptr && report.stage == Stage::create_hook_failed &&
        report.index < plan->hooks.create_container.size())
        return hook_error(plan->hooks.create_container[report.index], "createContainer", report.error);
    if (plan != nullptr && report.stage == Stage::start_hook_failed &&
        report.index < plan->hooks.start_container.size())
        return hook_error(plan->hooks.start_container[report.index], "startContainer", report.error);
    return os_error(EPROTO, "the container's child sent an unexpected message");
}

/// `run` is what the child does.
template <class Run> Result<CloneResult> clone_here(std::uint64_t flags, int cgroup, bool as_sibling, const Run& run) {
    clone_args args{};
    int pidfd = -1;
    args.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | (as_sibling ? CLONE_PARENT : 0);
    args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    args.exit_signal = as_sibling ? 0 : SIGCHLD;
    if (cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = static_cast<std::uint64_t>(cgroup);
    }
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    if (pid < 0) {
        const int err = errno;
        return fail(os_error(err, "cannot create the container's process and namespaces",
                             err == ENOSPC  ? "check /proc/sys/user/max_*_namespaces"
                             : err == EPERM ? "this needs root"
                             : err == EBUSY ? "the cgroup has processes or domain controllers in the way"
                                            : ""));
    }
    if (pid == 0) {
        release_sealed_mount();
        if (cgroup >= 0) // the one folder of the host that it holds: none may be there when it has neighbours
            ::close(cgroup);
        run();
        ::_exit(127);
    }
    return CloneResult{pid, UniqueFd{pidfd}};
}

Error join_error(int err, const plan::JoinNamespace& join) {
    return os_error(err, fmt::format("cannot join the {} namespace '{}'", join.type, join.host_path),
                    err == EINVAL ? "the path is not a namespace of that type" : "");
}

/// The caller joins namespaces so that its child is born there, and comes back: hooks run in ours.
class Visit {
public:
    Visit() = default;
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit() {
        for (const auto& [flag, own] : own_)
            ::setns(own.get(), flag);
    }
    Result<void> join(const std::vector<OpenNamespace>& namespaces) {
        for (const OpenNamespace& ns : namespaces) {
            const std::string_view type = ns.join->type;
            const std::string file = fmt::format("/proc/self/ns/{}", type == "network" ? "net" : type);
            own_.emplace_back(ns.clone_flag, TRY(open_at(AT_FDCWD, file, O_RDONLY)));
            if (::setns(ns.fd.get(), ns.clone_flag) < 0)
                return fail(join_error(errno, *ns.join));
        }
        return {};
    }

private:
    std::vector<std::pair<int, UniqueFd>> own_{};
};

/// What the process in between says: the child's pid, with its pidfd, or what went wrong.
struct MiddleAnswer {
    pid_t pid{-1};
    int error{0};
    unsigned failed_join{~0U};
};

[[noreturn]] void be_middle(const CloneOptions& options, int socket, int parent_end,
                            void (*entry)(ChildContext&) noexcept, ChildContext& context) noexcept {
    const auto give_up = [&](int error, unsigned join) {
        const MiddleAnswer answer{-1, error, join};
        [[maybe_unused]] const auto n = ::write(socket, &answer, sizeof answer);
        ::_exit(1);
    };
    for (unsigned i = 0; i < options.joins.size(); ++i)
        if (::setns(options.joins[i].fd.get(), options.joins[i].clone_flag) < 0)
            give_up(errno, i);
    clone_args args{};
    int pidfd = -1;
    args.flags = options.flags | CLONE_PIDFD | CLONE_PARENT;
    args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    args.exit_signal = 0; // with CLONE_PARENT it is that of the caller
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    if (pid == 0) {
        ::close(socket); // an end of file tells the parent of our maker's death
        ::close(parent_end);
        entry(context);
        ::_exit(127);
    }
    if (pid < 0)
        give_up(errno, ~0U);
    const MiddleAnswer answer{pid, 0, ~0U};
    ::_exit(send_descriptor(socket, &answer, sizeof answer, pidfd));
}

/// Who has left for another user namespace has no way back. So somebody in between goes, makes the child for us
/// (CLONE_PARENT) and ends; it is born in the cgroup, since from in there it could not enter it.
Result<CloneResult> clone_through_middle(const CloneOptions& options, int cgroup, void (*entry)(ChildContext&) noexcept,
                                         ChildContext& context) {
    SocketPair pair = TRY(make_socket_pair());
    const CloneResult middle = TRY(clone_here(0, cgroup, options.as_sibling, [&] {
        be_middle(options, pair.theirs.get(), pair.ours.get(), entry, context);
    }));
    pair.theirs = UniqueFd{};
    FdMessage message = TRY(receive_fds(pair.ours.get(), sizeof(MiddleAnswer)));
    if (!options.as_sibling)
        TRY(wait_exit(middle.pid));
    MiddleAnswer answer;
    if (message.data.size() == sizeof answer)
        std::memcpy(&answer, message.data.data(), sizeof answer);
    if (answer.failed_join < options.joins.size())
        return fail(join_error(answer.error, *options.joins[answer.failed_join].join));
    if (answer.pid <= 0 || message.fds.size() != 1)
        return fail(os_error(answer.error == 0 ? ECHILD : answer.error,
                             "cannot create the container's process in the user namespace"));
    return CloneResult{answer.pid, std::move(message.fds.front())};
}

/// The createRuntime hooks run now, and then the child goes on.
Result<void> answer_hooks(const Peer& peer) {
    TRY_VOID(
        run_hooks(peer.plan->hooks.create_runtime, "createRuntime", state_json(*peer.state, "creating", peer.pid)));
    return send(peer.sync, Stage::go_on);
}

struct Heard {
    Report report{};
    std::vector<UniqueFd> fds{};
};

/// The next report; nothing where the child has closed its end.
Result<std::optional<Heard>> hear(int sync, const Deadline& deadline) {
    while (true) {
        pollfd waiting{sync, POLLIN, 0};
        const int n = ::poll(&waiting, 1, deadline.poll_timeout());
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            return fail(os_error(ETIMEDOUT, "the container's set-up did not end in time"));
        FdMessage message = TRY(receive_fds(sync, sizeof(Report)));
        if (message.data.empty())
            return std::optional<Heard>{};
        Heard heard;
        std::memcpy(&heard.report, message.data.data(), std::min(message.data.size(), sizeof heard.report));
        heard.fds = std::move(message.fds);
        return std::optional{std::move(heard)};
    }
}

Error died() {
    return os_error(ECHILD, "the container's child died during its set-up", "see the kernel's log (dmesg)");
}

bool has_runtime_hooks(const plan::Plan* plan) { return plan != nullptr && !plan->hooks.create_runtime.empty(); }

} // namespace

Result<CloneResult> clone_child(const CloneOptions& options, void (*entry)(ChildContext&) noexcept,
                                ChildContext& context) {
    UniqueFd folder;
    if (!options.cgroup.empty()) {
        folder = UniqueFd{::open(options.cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        if (!folder)
            return fail(os_error(errno, "cannot open the cgroup '" + options.cgroup + "'"));
    }
    const bool leaves_user = !options.joins.empty() && options.joins.back().clone_flag == CLONE_NEWUSER;
    if (leaves_user)
        return clone_through_middle(options, folder.get(), entry, context);
    Visit visit;
    TRY_VOID(visit.join(options.joins));
    return clone_here(options.flags, folder.get(), options.as_sibling, [&] { entry(context); });
}

Result<std::vector<UniqueFd>> lift_descriptors(const std::vector<int>& fds) {
    std::vector<UniqueFd> result;
    for (const int fd : fds) {
        if (fd < 0) {
            result.emplace_back();
            continue;
        }
        result.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, static_cast<int>(3 + fds.size())));
        if (!result.back())
            return fail(os_error(errno, fmt::format("cannot pass file descriptor {} on", fd)));
    }
    return result;
}

Result<void> send(int sync, Stage stage) {
    const Report message{stage, 0, 0};
    const std::string_view bytes{reinterpret_cast<const char*>(&message), sizeof message};
    auto sent = send_fds(sync, bytes, {});
    if (!sent)
        return fail(os_error(ECHILD, "the container's child died before its start"));
    return {};
}

Result<Outcome> await_exec(const Peer& peer, const Deadline& deadline, bool has_gone) {
    Outcome outcome;
    // With hooks it would not be heard in time: the child waits for them first. One that has died has left its reason.
    if (!has_gone && !has_runtime_hooks(peer.plan)) [[maybe_unused]]
        auto sent = send(peer.sync, Stage::go);
    release_sealed_mount();
    bool exec_now = false;
    while (true) {
        auto heard = TRY(hear(peer.sync, deadline));
        if (!heard && exec_now)
            return outcome; // CLOEXEC: the payload runs
        if (!heard)
            return fail(died());
        switch (heard->report.stage) {
        case Stage::runtime_hooks:
            TRY_VOID(answer_hooks(peer));
            TRY_VOID(send(peer.sync, Stage::go));
            break;
        case Stage::notify_fd:
            if (heard->fds.size() == 1)
                outcome.notify_fd = std::move(heard->fds.front());
            break;
        case Stage::seccomp_fd:
            TRY_VOID(hand_to_agent(peer, static_cast<int>(heard->report.index)));
            TRY_VOID(send(peer.sync, Stage::go_on));
            break;
        case Stage::waiting:
            outcome.waiting = true;
            return outcome;
        case Stage::exec_now:
            exec_now = true;
            break;
        default:
            return fail(to_error(heard->report, peer.plan, *peer.process));
        }
    }
}

Result<void> await_prepared(const Peer& peer, const Deadline& deadline) {
    release_sealed_mount();
    while (true) {
        const auto heard = TRY(hear(peer.sync, deadline));
        if (!heard)
            return fail(died());
        if (heard->report.stage == Stage::prepared)
            return {};
        if (heard->report.stage != Stage::runtime_hooks)
            return fail(to_error(heard->report, peer.plan, *peer.process));
        TRY_VOID(answer_hooks(peer));
    }
}

} // namespace ctrd::runtime
