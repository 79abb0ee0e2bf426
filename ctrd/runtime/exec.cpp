#include "ctrd/base/deadline.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/runtime/container.hpp"
#include "ctrd/runtime/spawn.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace ctrd::runtime {
namespace {

struct NamespaceFile {
    const char* name;
    int flag;
};
constexpr std::array namespace_files{
    NamespaceFile{"user", CLONE_NEWUSER}, NamespaceFile{"mnt", CLONE_NEWNS},
    NamespaceFile{"net", CLONE_NEWNET},   NamespaceFile{"ipc", CLONE_NEWIPC},
    NamespaceFile{"uts", CLONE_NEWUTS},   NamespaceFile{"cgroup", CLONE_NEWCGROUP},
    NamespaceFile{"pid", CLONE_NEWPID},   NamespaceFile{"time", CLONE_NEWTIME},
};

/// The namespaces in which `leader` differs from us: setns refuses to "join" the user namespace we are in.
Result<int> different_namespaces(pid_t leader) {
    int flags = 0;
    for (const auto& file : namespace_files) {
        struct stat ours {};
        struct stat theirs {};
        if (::stat(fmt::format("/proc/self/ns/{}", file.name).c_str(), &ours) < 0 ||
            ::stat(fmt::format("/proc/{}/ns/{}", leader, file.name).c_str(), &theirs) < 0)
            return fail(
                os_error(errno, fmt::format("cannot look at the {} namespace of process {}", file.name, leader)));
        if (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev)
            flags |= file.flag;
    }
    return flags;
}

} // namespace

Result<pid_t> exec_in(pid_t leader, const plan::ProcessPlan& process, const ExecOptions& options,
                      std::chrono::milliseconds timeout) {
    const Deadline deadline{timeout};
    const UniqueFd pidfd = TRY(open_pidfd(leader).context("container"));
    const int flags = TRY(different_namespaces(leader));
    const std::string cgroup = TRY(cgroup_mount()) + TRY(cgroup_of(leader));
    // The number could have been given to somebody else meanwhile; the pidfd tells whether what we read was his.
    TRY_VOID(send_signal(pidfd.get(), 0).context("container"));

    PreparedProcess payload = TRY(prepare_process(process));
    const auto lifted = TRY(lift_descriptors(options.pass_fds));
    std::vector<int> passed;
    for (const UniqueFd& fd : lifted)
        passed.push_back(fd.get());
    SocketPair pair = TRY(make_socket_pair());
    UniqueFd theirs{::fcntl(pair.theirs.get(), F_DUPFD_CLOEXEC, static_cast<int>(3 + passed.size()))};
    ChildContext context{};
    context.process = &process;
    context.payload = &payload;
    context.sync = theirs.get();
    context.parent_end = pair.ours.get();
    context.console_socket = options.console_socket;
    context.pass_fds = passed.data();
    context.pass_count = static_cast<unsigned>(passed.size());
    context.join_pidfd = pidfd.get();
    context.join_flags = flags & ~CLONE_NEWPID;

    // Our children are born in its pid namespace; we ourselves stay where we are.
    if ((flags & CLONE_NEWPID) != 0 && ::setns(pidfd.get(), CLONE_NEWPID) < 0)
        return fail(os_error(errno, "cannot join the container's pid namespace"));
    // Its neighbours can see the child from its birth: they must never be able to look into it (CVE-2019-5736).
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    CloneResult child = TRY(clone_child(0, cgroup, false, run_exec_process, context));
    UniqueFd sync = std::move(pair.ours);
    pair.theirs = UniqueFd{};
    theirs = UniqueFd{}; // only the child's copies may keep it open
    auto started = send_go(sync.get());
    if (started) {
        auto outcome = await_exec(sync.get(), nullptr, process, deadline);
        if (outcome)
            return child.pid;
        started = fail(std::move(outcome).error());
    }
    [[maybe_unused]] auto killed = send_signal(child.pidfd.get(), SIGKILL);
    [[maybe_unused]] auto reaped = wait_exit(child.pid);
    return fail(std::move(started).error());
}

} // namespace ctrd::runtime
