#include "ctrd/runtime/spawn.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

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
    const std::string text =
        fmt::format("cannot run '{}'{}", program, searched ? " (looked for in the container's PATH)" : "");
    if (report.error == ENOENT)
        return os_error(ENOENT, text, "the program, or the interpreter that it names, is not in the rootfs");
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
    return os_error(EPROTO, "the container's child sent an unexpected message");
}

} // namespace

Result<CloneResult> clone_child(std::uint64_t flags, const std::string& cgroup, bool as_sibling,
                                void (*entry)(ChildContext&) noexcept, ChildContext& context) {
    UniqueFd folder;
    clone_args args{};
    int pidfd = -1;
    args.flags = flags | CLONE_PIDFD | (as_sibling ? CLONE_PARENT : 0);
    args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    args.exit_signal = as_sibling ? 0 : SIGCHLD;
    if (!cgroup.empty()) {
        folder = UniqueFd{::open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        if (!folder)
            return fail(os_error(errno, "cannot open the cgroup '" + cgroup + "'"));
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = static_cast<std::uint64_t>(folder.get());
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
        folder = UniqueFd{}; // the one folder of the host that the child holds: none may be there among its neighbours
        entry(context);
        ::_exit(127);
    }
    return CloneResult{pid, UniqueFd{pidfd}};
}

Result<std::vector<UniqueFd>> lift_descriptors(const std::vector<int>& fds) {
    std::vector<UniqueFd> result;
    for (const int fd : fds) {
        result.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, static_cast<int>(3 + fds.size())));
        if (!result.back())
            return fail(os_error(errno, fmt::format("cannot pass file descriptor {} on", fd)));
    }
    return result;
}

Result<void> send_go(int sync) {
    const Report go{Stage::go, 0, 0};
    const std::string_view bytes{reinterpret_cast<const char*>(&go), sizeof go};
    auto sent = send_fds(sync, bytes, {});
    if (!sent)
        return fail(os_error(ECHILD, "the container's child died before its start"));
    return {};
}

Result<Outcome> await_exec(int sync, const plan::Plan* plan, const plan::ProcessPlan& process,
                           const Deadline& deadline) {
    Outcome outcome;
    bool exec_now = false;
    while (true) {
        pollfd waiting{sync, POLLIN, 0};
        const int n = ::poll(&waiting, 1, deadline.poll_timeout());
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            return fail(os_error(ETIMEDOUT, "the container's set-up did not end in time"));
        FdMessage message = TRY(receive_fds(sync, sizeof(Report)));
        if (message.data.empty() && exec_now)
            return outcome; // CLOEXEC: the payload runs
        if (message.data.empty())
            return fail(
                os_error(ECHILD, "the container's child died during its set-up", "see the kernel's log (dmesg)"));
        Report report{};
        std::memcpy(&report, message.data.data(), std::min(message.data.size(), sizeof report));
        switch (report.stage) {
        case Stage::notify_fd:
            if (message.fds.size() == 1)
                outcome.notify_fd = std::move(message.fds.front());
            break;
        case Stage::waiting:
            outcome.waiting = true;
            return outcome;
        case Stage::exec_now:
            exec_now = true;
            break;
        default:
            return fail(to_error(report, plan, process));
        }
    }
}

} // namespace ctrd::runtime
