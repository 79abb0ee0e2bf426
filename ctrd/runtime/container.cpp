#include "ctrd/runtime/container.hpp"

#include "ctrd/base/deadline.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/runtime/spawn.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

namespace ctrd::runtime {
namespace {

/// The caller itself joins: its child is born there. Only short-lived programs start containers, so nobody minds.
Result<void> join_namespaces(const std::vector<plan::JoinNamespace>& joins) {
    for (const auto& join : joins) {
        const UniqueFd fd = TRY(open_at(AT_FDCWD, join.host_path, O_RDONLY).context("linux.namespaces"));
        if (::setns(fd.get(), static_cast<int>(join.clone_flag)) < 0)
            return fail(os_error(errno, fmt::format("cannot join the {} namespace '{}'", join.type, join.host_path),
                                 errno == EINVAL ? "the path is not a namespace of that type" : ""));
    }
    return {};
}

std::string to_map(const std::vector<oci::IdMapping>& mappings) {
    std::string text;
    for (const auto& mapping : mappings)
        text += fmt::format("{} {} {}\n", mapping.container_id, mapping.host_id, mapping.size);
    return text;
}

Result<void> write_id_maps(pid_t pid, const plan::Plan& plan) {
    if (plan.uid_mappings.empty())
        return {};
    const std::string folder = fmt::format("/proc/{}", pid);
    if (::geteuid() != 0) // the kernel wants this from whoever maps without privileges
        TRY_VOID(write_control(folder + "/setgroups", "deny"));
    TRY_VOID(write_control(folder + "/uid_map", to_map(plan.uid_mappings)).context("linux.uidMappings"));
    TRY_VOID(write_control(folder + "/gid_map", to_map(plan.gid_mappings)).context("linux.gidMappings"));
    return {};
}

Result<void> set_limits(pid_t pid, const oci::Process& process) {
    for (const auto& limit : process.rlimits) {
        const rlimit value{limit.soft, limit.hard};
        if (::prlimit(pid, static_cast<__rlimit_resource>(limit.resource), &value, nullptr) < 0)
            return fail(os_error(errno, fmt::format("cannot set {} to {}:{}", limit.type, limit.soft, limit.hard),
                                 errno == EPERM ? "raising a hard limit takes CAP_SYS_RESOURCE" : ""));
    }
    if (process.oom_score_adj)
        TRY_VOID(write_control(fmt::format("/proc/{}/oom_score_adj", pid), std::to_string(*process.oom_score_adj))
                     .context("process.oomScoreAdj"));
    return {};
}

Result<void> check_console(const plan::Plan& plan, const SpawnOptions& options) {
    const bool terminal = plan.process.process.terminal;
    if (terminal == (options.console_socket >= 0))
        return {};
    return fail(bad_input(terminal ? "process.terminal is true, but there is no console socket to send it to"
                                   : "there is a console socket, but process.terminal is false"));
}

} // namespace

Container::Container(const plan::Plan& plan, pid_t pid, UniqueFd pidfd, UniqueFd sync)
    : plan_{&plan}, pid_{pid}, pidfd_{std::move(pidfd)}, sync_{std::move(sync)} {}

Container::~Container() {
    if (!pidfd_ || released_)
        return;
    [[maybe_unused]] auto killed = send_signal(pidfd_.get(), SIGKILL);
    if (own_child_) [[maybe_unused]]
        auto reaped = wait_exit(pid_);
}

Result<Container> Container::spawn(const plan::Plan& plan, const SpawnOptions& options) {
    TRY_VOID(check_console(plan, options));
    std::string cgroup = options.cgroup;
    if (cgroup.empty())
        cgroup = TRY(cgroup_mount()) + TRY(cgroup_of(::getpid()));
    Prepared prepared = TRY(prepare(plan, cgroup));
    if (options.listen_fdnames)
        add_listen_environment(prepared.process, options.pass_fds.size(), *options.listen_fdnames);
    const auto lifted = TRY(lift_descriptors(options.pass_fds));
    std::vector<int> passed;
    for (const UniqueFd& fd : lifted)
        passed.push_back(fd.get());

    SocketPair pair = TRY(make_socket_pair());
    // Its number must not be one that pass_fds will take.
    const UniqueFd theirs{::fcntl(pair.theirs.get(), F_DUPFD_CLOEXEC, static_cast<int>(3 + passed.size()))};
    ChildContext context{};
    context.plan = &plan;
    context.process = &plan.process;
    context.prepared = &prepared;
    context.payload = &prepared.process;
    context.sync = theirs.get();
    context.parent_end = pair.ours.get();
    context.start_socket = options.start_socket;
    context.console_socket = options.console_socket;
    context.pass_fds = passed.data();
    context.pass_count = static_cast<unsigned>(passed.size());
    context.intercept_bind = options.intercept_bind;
    context.new_keyring = options.new_keyring;

    TRY_VOID(join_namespaces(plan.joins));
    // Until exec nobody in a shared pid namespace may look into the child's descriptors or at our binary
    // (CVE-2019-5736); it inherits this, so there is no moment before. With id maps it comes after them: an
    // unprivileged parent may write those only to a process that it could dump.
    if (plan.uid_mappings.empty())
        ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    CloneResult child =
        TRY(clone_child(plan.clone_flags, options.cgroup, options.as_sibling, run_first_process, context));
    Container container{plan, child.pid, std::move(child.pidfd), std::move(pair.ours)};
    container.own_child_ = !options.as_sibling;
    TRY_VOID(write_id_maps(child.pid, plan));
    TRY_VOID(set_limits(child.pid, plan.process.process));
    return container;
}

Result<void> Container::go(std::chrono::milliseconds timeout) {
    const Deadline deadline{timeout};
    TRY_VOID(send_go(sync_.get()));
    Outcome outcome = TRY(await_exec(sync_.get(), plan_, plan_->process, deadline));
    notify_fd_ = std::move(outcome.notify_fd);
    return {};
}

Result<void> await_start(int connection, const plan::Plan& plan, std::chrono::milliseconds timeout) {
    TRY(await_exec(connection, &plan, plan.process, Deadline{timeout}));
    return {};
}

} // namespace ctrd::runtime
