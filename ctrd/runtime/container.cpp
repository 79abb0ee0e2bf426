#include "ctrd/runtime/container.hpp"

#include "ctrd/base/deadline.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/runtime/id_map.hpp"
#include "ctrd/runtime/intel_rdt.hpp"
#include "ctrd/runtime/net_device.hpp"
#include "ctrd/runtime/scheduling.hpp"
#include "ctrd/runtime/spawn.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>

namespace ctrd::runtime {
namespace {

Result<std::vector<OpenNamespace>> open_namespaces(const std::vector<plan::JoinNamespace>& joins) {
    std::vector<OpenNamespace> result;
    for (const auto& join : joins)
        result.push_back({static_cast<int>(join.clone_flag),
                          TRY(open_at(AT_FDCWD, join.host_path, O_RDONLY | O_NONBLOCK | O_NOCTTY) // a FIFO's would wait
                                  .context("linux.namespaces")),
                          &join});
    // Rights over the others come from the host's user namespace: it is left last.
    std::ranges::stable_partition(result, [](const auto& ns) { return ns.clone_flag != CLONE_NEWUSER; });
    return result;
}

/// A namespace that is joined by its path may be the host's own: what the plan would change there is not the
/// container's.
Result<void> check_not_the_hosts(const std::vector<OpenNamespace>& namespaces, const plan::Plan& plan) {
    const auto has = [&](const auto& is_one) { return std::ranges::any_of(plan.steps, is_one); };
    const bool sysctls = has([](const plan::Step& step) { return std::holds_alternative<plan::WriteSysctl>(step); });
    const bool names = has([](const plan::Step& step) {
        return std::holds_alternative<plan::SetHostname>(step) || std::holds_alternative<plan::SetDomainname>(step);
    });
    const auto changes = [&](int flag) {
        return (flag == CLONE_NEWUTS && (names || sysctls)) || (flag == CLONE_NEWIPC && sysctls) ||
               (flag == CLONE_NEWNET && (sysctls || !plan.net_devices.empty()));
    };
    for (const OpenNamespace& ns : namespaces) {
        if (!changes(ns.clone_flag))
            continue;
        const std::string& type = ns.join->type;
        struct stat own {};
        struct stat theirs {};
        const std::string file = "/proc/self/ns/" + (type == "network" ? "net" : type);
        if (::stat(file.c_str(), &own) == 0 && ::fstat(ns.fd.get(), &theirs) == 0 && own.st_ino == theirs.st_ino &&
            own.st_dev == theirs.st_dev)
            return fail(bad_input("linux.namespaces: '" + ns.join->host_path + "' is the host's own " + type +
                                      " namespace: names, sysctls and network devices there are not the container's",
                                  "leave out its path to get a new one, or what would be changed there"));
    }
    return {};
}

/// The offsets of a time namespace can be written until the first process is in it: so it is made for the children of
/// this one, which itself stays where it is. When this goes, later children (hooks) are born there again, too.
class ChildrensTime {
public:
    ChildrensTime() = default;
    ChildrensTime(const ChildrensTime&) = delete;
    ChildrensTime& operator=(const ChildrensTime&) = delete;
    ~ChildrensTime() {
        if (own_)
            ::setns(own_.get(), CLONE_NEWTIME);
    }
    Result<void> make(const std::vector<oci::TimeOffset>& offsets) {
        own_ = TRY(open_at(AT_FDCWD, "/proc/self/ns/time", O_RDONLY));
        if (::unshare(CLONE_NEWTIME) < 0)
            return fail(os_error(errno, "cannot make a time namespace", "the kernel needs CONFIG_TIME_NS"));
        for (const auto& offset : offsets)
            TRY_VOID(write_control("/proc/self/timens_offsets",
                                   fmt::format("{} {} {}\n", offset.clock, offset.seconds, offset.nanoseconds))
                         .context("linux.timeOffsets"));
        return {};
    }

private:
    UniqueFd own_{};
};

/// The last number of NSpid: what the process is called in its own pid namespace.
Result<pid_t> pid_inside(pid_t pid) {
    const std::string status = TRY(read_file(fmt::format("/proc/{}/status", pid)));
    const auto line = status.find("\nNSpid:");
    const auto end = line == std::string::npos ? line : status.find('\n', line + 1);
    const auto last = end == std::string::npos ? end : status.find_last_of("\t ", end);
    pid_t inside = 0;
    if (last == std::string::npos ||
        std::from_chars(status.data() + last + 1, status.data() + end, inside).ec != std::errc{})
        return fail(os_error(EPROTO, fmt::format("cannot read NSpid of process {}", pid)));
    return inside;
}

/// Files that the child's hooks read the state from: written when the child's pid is known.
struct HookStates {
    UniqueFd creating{};
    UniqueFd created{};

    [[nodiscard]] Result<void> fill(const StateFacts& facts, pid_t pid) const {
        if (!creating && !created)
            return {};
        const pid_t own = TRY(pid_inside(pid)); // these run inside: the pid is the one seen there
        if (creating)
            TRY_VOID(write_all(creating.get(), state_json(facts, "creating", own)));
        if (created)
            TRY_VOID(write_all(created.get(), state_json(facts, "created", own)));
        return {};
    }
};

Result<UniqueFd> make_state_file(bool wanted, int above) {
    if (!wanted)
        return UniqueFd{};
    const UniqueFd file{::memfd_create("state", MFD_CLOEXEC)};
    UniqueFd lifted{file ? ::fcntl(file.get(), F_DUPFD_CLOEXEC, above) : -1};
    if (!lifted)
        return fail(os_error(errno, "cannot make a file for the hooks"));
    return lifted;
}

Result<HookStates> make_hook_states(const oci::Hooks& hooks, int above) {
    UniqueFd creating = TRY(make_state_file(!hooks.create_container.empty(), above));
    UniqueFd created = TRY(make_state_file(!hooks.start_container.empty(), above));
    return HookStates{std::move(creating), std::move(created)};
}

Result<void> check_console(const plan::Plan& plan, const SpawnOptions& options) {
    const bool terminal = plan.process.process.terminal;
    if (terminal == (options.console_socket >= 0))
        return {};
    return fail(bad_input(terminal ? "process.terminal is true, but there is no console socket to send it to"
                                   : "there is a console socket, but process.terminal is false"));
}

} // namespace

Container::Container(const plan::Plan& plan, StateFacts state, pid_t pid, UniqueFd pidfd, UniqueFd sync)
    : plan_{&plan}, state_{std::move(state)}, pid_{pid}, pidfd_{std::move(pidfd)}, sync_{std::move(sync)} {}

Container::~Container() {
    if (!pidfd_ || released_)
        return;
    [[maybe_unused]] auto killed = send_signal(pidfd_.get(), SIGKILL);
    if (own_child_) [[maybe_unused]]
        auto reaped = wait_exit(pid_);
    remove_rdt(rdt_folder_);
}

Result<Container> Container::spawn(const plan::Plan& plan, const SpawnOptions& options) {
    TRY_VOID(check_console(plan, options));
    std::string cgroup = options.cgroup;
    if (cgroup.empty())
        cgroup = TRY(cgroup_mount()) + TRY(cgroup_of(::getpid()));
    Prepared prepared = TRY(prepare(plan, cgroup));
    if (options.init >= 0)
        add_init(prepared.process, options.init_args);
    const bool is_passed = options.takes_connection == TakesConnection::passed;
    if (options.listen_fdnames)
        add_listen_environment(prepared.process, is_passed ? 1 : options.pass_fds.size(), *options.listen_fdnames);
    if (options.takes_connection != TakesConnection::no)
        add_peer_environment(prepared.process);
    const auto lifted = TRY(lift_descriptors(options.pass_fds));
    std::vector<int> passed;
    for (const UniqueFd& fd : lifted)
        passed.push_back(fd.get());

    SocketPair pair = TRY(make_socket_pair());
    // Their numbers must not be ones that pass_fds will take.
    const int above = static_cast<int>(3 + (is_passed ? 1 : passed.size()));
    const UniqueFd theirs{::fcntl(pair.theirs.get(), F_DUPFD_CLOEXEC, above)};
    const HookStates states = TRY(make_hook_states(plan.hooks, above));
    const UniqueFd init{options.init >= 0 ? ::fcntl(options.init, F_DUPFD_CLOEXEC, above) : -1};
    ChildContext context{};
    context.plan = &plan;
    context.process = &plan.process;
    context.prepared = &prepared;
    context.payload = &prepared.process;
    context.sync = theirs.get();
    context.parent_end = pair.ours.get();
    context.start_socket = options.start_socket;
    context.console_socket = options.console_socket;
    context.plain_newlines = options.plain_newlines;
    context.output = options.output;
    context.init = init.get();
    context.pass_fds = is_passed ? &context.connection : passed.data();
    context.pass_count = static_cast<unsigned>(is_passed ? 1 : passed.size());
    context.takes_connection = options.takes_connection;
    context.intercept_bind = options.intercept_bind;
    context.new_keyring = options.new_keyring;
    context.sets_limits = !plan.in_user_namespace;
    // Sysctls may be about a device that has yet to move in.
    context.waits_to_begin = plan.in_user_namespace || !plan.net_devices.empty() || states.creating || states.created;
    context.creating_state = states.creating.get();
    context.created_state = states.created.get();

    ChildrensTime time;
    if ((plan.clone_flags & CLONE_NEWTIME) != 0)
        TRY_VOID(time.make(plan.time_offsets));
    // Until exec nobody in a shared pid namespace may look into the child's descriptors or at our binary
    // (CVE-2019-5736); it inherits this, so there is no moment before. Who is not the host's root may write id maps
    // only to a process that he could dump: then it comes after them.
    if (plan.uid_mappings.empty() || is_host_root())
        ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    const CloneOptions born{.flags = plan.clone_flags & ~std::uint64_t{CLONE_NEWTIME},
                            .cgroup = options.cgroup,
                            .as_sibling = options.as_sibling,
                            .joins = TRY(open_namespaces(plan.joins))};
    TRY_VOID(check_not_the_hosts(born.joins, plan));
    CloneResult child = TRY(clone_child(born, run_first_process, context));
    Container container{plan, options.state, child.pid, std::move(child.pidfd), std::move(pair.ours)};
    container.own_child_ = !options.as_sibling;
    TRY_VOID(write_id_maps(child.pid, plan.uid_mappings, plan.gid_mappings));
    if (!context.sets_limits)
        TRY_VOID(set_limits(child.pid, plan.process.process));
    TRY_VOID(set_scheduling(child.pid, plan.process.process));
    if (plan.intel_rdt)
        container.rdt_folder_ = TRY(join_rdt(*plan.intel_rdt, options.state.id, child.pid));
    if (!plan.net_devices.empty())
        TRY_VOID(move_net_devices(plan.net_devices, child.pid));
    TRY_VOID(states.fill(options.state, child.pid));
    if (context.waits_to_begin)
        TRY_VOID(send(container.sync_.get(), Stage::begin));
    return container;
}

Peer Container::peer() const { return {sync_.get(), plan_, &plan_->process, pidfd_.get(), pid_, &state_}; }

Result<void> Container::await_prepared(std::chrono::milliseconds timeout) {
    TRY_VOID(runtime::await_prepared(peer(), Deadline{timeout + time_for(plan_->hooks)}));
    prepared_ = true;
    return {};
}

Result<void> Container::give_connection(int connection, const PeerName& name) {
    ConnectionReport report;
    name.address.copy(report.address, sizeof report.address - 1);
    name.port.copy(report.port, sizeof report.port - 1);
    const std::string_view bytes{reinterpret_cast<const char*>(&report), sizeof report};
    if (!send_fds(sync_.get(), bytes, {&connection, 1}))
        return fail(os_error(ECHILD, "the container's child died before its start"));
    return {};
}

Result<void> Container::go(std::chrono::milliseconds timeout) {
    if (prepared_)
        TRY_VOID(send(sync_.get(), Stage::go));
    Outcome outcome = TRY(await_exec(peer(), Deadline{timeout + time_for(plan_->hooks)}, prepared_));
    notify_fd_ = std::move(outcome.notify_fd);
    return {};
}

Result<void> await_start(const Waiting& waiting, const plan::Plan& plan, const StateFacts& state,
                         std::chrono::milliseconds timeout) {
    TRY(await_exec({waiting.connection, &plan, &plan.process, waiting.pidfd, waiting.pid, &state},
                   Deadline{timeout + time_for(plan.hooks)}, true));
    return {};
}

} // namespace ctrd::runtime
