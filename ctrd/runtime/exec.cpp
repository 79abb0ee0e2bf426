#include "ctrd/base/deadline.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/runtime/container.hpp"
#include "ctrd/runtime/intel_rdt.hpp"
#include "ctrd/runtime/scheduling.hpp"
#include "ctrd/runtime/spawn.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

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

/// The namespaces in which `leader` differs from us: setns refuses to "join" the user namespace we are in, and without
/// privileges any that is not the container's own. One that the kernel does not have differs in nothing.
Result<int> different_namespaces(pid_t leader) {
    const std::string folder = fmt::format("/proc/{}/ns", leader);
    const UniqueFd theirs = TRY(open_at(AT_FDCWD, folder, O_PATH | O_DIRECTORY));
    const UniqueFd ours = TRY(open_at(AT_FDCWD, "/proc/self/ns", O_PATH | O_DIRECTORY));
    int flags = 0;
    for (const auto& file : namespace_files) {
        char our_name[64];
        char their_name[64];
        const ssize_t our_length = ::readlinkat(ours.get(), file.name, our_name, sizeof our_name);
        const ssize_t their_length = ::readlinkat(theirs.get(), file.name, their_name, sizeof their_name);
        if ((our_length < 0 || their_length < 0) && errno != ENOENT)
            return fail(os_error(errno, fmt::format("cannot look at '{}/{}'", folder, file.name)));
        if (our_length != their_length ||
            (our_length > 0 && std::memcmp(our_name, their_name, static_cast<std::size_t>(our_length)) != 0))
            flags |= file.flag;
    }
    return flags;
}

/// Our children are born in its pid namespace; we ourselves stay where we are. Without privileges only who is in the
/// container's user namespace may do that, so we join that one too.
Result<void> join_for_children(ChildContext& context) {
    context.in_user_namespace = (context.join_flags & CLONE_NEWUSER) != 0;
    if ((context.join_flags & CLONE_NEWPID) == 0)
        return {};
    int result = ::setns(context.join_pidfd, CLONE_NEWPID);
    if (result < 0 && errno == EPERM && context.in_user_namespace) {
        result = ::setns(context.join_pidfd, CLONE_NEWUSER | CLONE_NEWPID);
        context.join_flags &= ~CLONE_NEWUSER;
    }
    if (result < 0)
        return fail(os_error(errno, "cannot join the container's pid namespace"));
    context.join_flags &= ~CLONE_NEWPID;
    return {};
}

/// process.execCPUAffinity. None: as it is.
Result<void> set_affinity(pid_t pid, const std::vector<unsigned>& cpus, const char* which) {
    if (cpus.empty())
        return {};
    const std::size_t size = CPU_ALLOC_SIZE(cpus.back() + 1); // they are in order
    std::vector<unsigned long> mask(size / sizeof(unsigned long));
    for (const unsigned cpu : cpus)
        CPU_SET_S(cpu, size, reinterpret_cast<cpu_set_t*>(mask.data()));
    if (::sched_setaffinity(pid, size, reinterpret_cast<const cpu_set_t*>(mask.data())) < 0)
        return fail(
            os_error(errno, fmt::format("process.execCPUAffinity.{}: cannot set it", which),
                     errno == EINVAL ? "none of these processors is there, or the cgroup leaves none of them" : ""));
    return {};
}

bool has_no_room(const Error& error) {
    return error.code == std::errc::device_or_resource_busy || error.code == std::errc::operation_not_supported ||
           error.code == std::errc::no_such_file_or_directory;
}

Result<CloneResult> clone_into(pid_t leader, const ExecOptions& options, ChildContext& context) {
    if (options.keep_cgroup)
        return clone_child({}, run_exec_process, context);
    const std::vector<std::string> only_the_leaders{""};
    const auto& folders = options.cgroups.empty() ? only_the_leaders : options.cgroups;
    for (std::size_t i = 0;; ++i) {
        const std::string folder = folders[i].empty() ? TRY(cgroup_mount()) + TRY(cgroup_of(leader)) : folders[i];
        // The number could have been given to somebody else meanwhile; the pidfd tells whether what we read was his.
        TRY_VOID(send_signal(context.join_pidfd, 0).context("container"));
        auto child =
            clone_child({.flags = 0, .cgroup = folder, .as_sibling = false, .joins = {}}, run_exec_process, context);
        if (child || i + 1 == folders.size() || !has_no_room(child.error()))
            return child;
    }
}

/// From a child that waits for its start to one that runs the program.
Result<void> let_go(const CloneResult& child, int sync, const plan::ProcessPlan& process, const ExecOptions& options,
                    const Deadline& deadline) {
    TRY_VOID(set_limits(child.pid, process.process));
    TRY_VOID(set_scheduling(child.pid, process.process));
    TRY_VOID(set_affinity(child.pid, process.process.exec_cpu_affinity.final, "final"));
    if (options.intel_rdt)
        TRY_VOID(follow_into_rdt(*options.intel_rdt, options.state.id, child.pid));
    TRY(await_exec({sync, nullptr, &process, child.pidfd.get(), child.pid, &options.state}, deadline));
    return {};
}

} // namespace

Result<ExecProcess> exec_in(pid_t leader, int leader_pidfd, const plan::ProcessPlan& process,
                            const ExecOptions& options, std::chrono::milliseconds timeout) {
    const Deadline deadline{timeout};
    PreparedProcess payload = TRY(prepare_process(process, options.seccomp));
    const auto lifted = TRY(lift_descriptors(options.pass_fds));
    std::vector<int> passed;
    for (const UniqueFd& fd : lifted)
        passed.push_back(fd.get());
    SocketPair pair = TRY(make_socket_pair());
    // Its number must not be one that pass_fds will take.
    UniqueFd theirs{::fcntl(pair.theirs.get(), F_DUPFD_CLOEXEC, static_cast<int>(3 + passed.size()))};
    ChildContext context{};
    context.process = &process;
    context.payload = &payload;
    context.sync = theirs.get();
    context.parent_end = pair.ours.get();
    context.console_socket = options.console_socket;
    context.plain_newlines = options.plain_newlines;
    context.terminal = options.terminal;
    context.pass_fds = passed.data();
    context.pass_count = static_cast<unsigned>(passed.size());
    context.new_keyring = options.new_keyring;
    context.dies_with_parent = !options.detached;
    context.join_pidfd = leader_pidfd;
    context.join_flags = TRY(different_namespaces(leader));
    TRY_VOID(join_for_children(context));
    TRY_VOID(set_affinity(0, process.process.exec_cpu_affinity.initial, "initial"));
    // Its neighbours can see the child from its birth: they must never be able to look into it (CVE-2019-5736).
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    CloneResult child = TRY(clone_into(leader, options, context));
    UniqueFd sync = std::move(pair.ours);
    pair.theirs = UniqueFd{};
    theirs = UniqueFd{}; // only the child's copies may keep it open
    if (auto started = let_go(child, sync.get(), process, options, deadline); !started) {
        [[maybe_unused]] auto killed = send_signal(child.pidfd.get(), SIGKILL);
        [[maybe_unused]] auto reaped = wait_exit(child.pid);
        return fail(std::move(started).error());
    }
    return ExecProcess{child.pid, std::move(child.pidfd)};
}

} // namespace ctrd::runtime
