// exec: one more process in a container that is there already.
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/oci/parse.hpp"
#include "tools/ctr-oci/commands.hpp"
#include "tools/ctr-oci/environment.hpp"
#include "tools/ctr-oci/exec_base.hpp"
#include "tools/ctr-oci/exec_process.hpp"
#include "tools/ctr-oci/foreground.hpp"
#include "tools/ctr-oci/launch.hpp"
#include "tools/ctr-oci/log.hpp"
#include "tools/ctr-oci/unix_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace ctrd::ctr_oci {
namespace {

constexpr std::chrono::hours until_resumed{24 * 365};

Result<void> check_status(const Options& options, const store::Records& records, const store::Record& record) {
    const auto status = records.status(record);
    if (status == store::Status::paused && !options.ignore_paused)
        return fail(bad_input("cannot exec in a paused container: '" + record.id + "'",
                              "'resume " + record.id + "' it first; with --ignore-paused the process waits for that"));
    if (status == store::Status::stopped || status == store::Status::creating)
        return fail(Error{std::errc::no_such_process,
                          "cannot exec in a container that is " + std::string{to_string(status)} + ": '" + record.id +
                              "', container not running",
                          ""});
    return {};
}

/// A file of the caller's, or a pipe of his: `--process <(...)`.
Result<oci::Process> read_process(const std::string& path) {
    const UniqueFd file = TRY(open_at(AT_FDCWD, path, O_RDONLY | O_NOCTTY).context("--process"));
    struct stat st {};
    if (::fstat(file.get(), &st) < 0 || !(S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode)))
        return fail(bad_input("--process: '" + path + "' is neither a file nor a pipe"));
    const std::string text = TRY(read_all(file.get(), oci::max_config_size).context("'" + path + "'"));
    return oci::parse_process(text).context("'" + path + "'");
}

/// --cgroup: below the container's own. On cgroup v2 there is one hierarchy, so there is one path.
Result<std::vector<std::string>> choose_cgroups(const Options& options, const store::Record& record) {
    if (options.cgroups.empty())
        return std::vector<std::string>{record.cgroup, ""};
    const std::string& path = options.cgroups.front();
    if (options.cgroups.size() > 1 || path.find(':') != std::string::npos)
        return fail(bad_input("--cgroup takes one path without a controller: cgroup v2 has one hierarchy"));
    if (("/" + path + "/").find("/../") != std::string::npos)
        return fail(bad_input("--cgroup holds '..': '" + path + "'"));
    const std::string folder = record.cgroup + "/" + path;
    if (::access((folder + "/cgroup.procs").c_str(), F_OK) < 0)
        return fail(os_error(errno, "--cgroup '" + path + "': the container's cgroup has no such one",
                             "the container makes its own, where its cgroup is mounted writable"));
    return std::vector<std::string>{folder};
}

struct Terminal {
    UniqueFd socket{};   // what the process sends its terminal to
    UniqueFd received{}; // where it arrives, when that is us
};

Result<Terminal> prepare_terminal(const Options& options, bool wanted) {
    Terminal terminal;
    if (!wanted) {
        if (!options.console_socket.empty())
            return fail(bad_input("--console-socket goes with --tty"));
        return terminal;
    }
    if (!options.console_socket.empty()) {
        terminal.socket = TRY(connect_unix(options.console_socket, SOCK_STREAM, "--console-socket"));
    } else if (options.detach) {
        return fail(bad_input("a terminal for a process that nobody waits for needs --console-socket"));
    } else {
        SocketPair pair = TRY(make_socket_pair());
        terminal.socket = std::move(pair.theirs);
        terminal.received = std::move(pair.ours);
    }
    return terminal;
}

Result<plan::ProcessPlan> make_plan(const Options& options, const oci::Spec& spec, pid_t leader) {
    oci::Process process = TRY(make_exec_process(options, *spec.process));
    add_home(process, "/proc/" + std::to_string(leader) + "/root");
    return plan::make_process_plan(process, spec);
}

bool leaves_user_namespace(pid_t leader) {
    struct stat ours {};
    struct stat theirs {};
    return ::stat("/proc/self/ns/user", &ours) == 0 &&
           ::stat(("/proc/" + std::to_string(leader) + "/ns/user").c_str(), &theirs) == 0 &&
           ours.st_ino != theirs.st_ino;
}

Result<void> tell(const Options& options, const runtime::ExecProcess& started, const PidfdSocket& pidfd_socket) {
    if (!options.pid_file.empty())
        TRY_VOID(write_atomic(options.pid_file, std::to_string(started.pid), 0644).context("--pid-file"));
    return pidfd_socket.send(started.pidfd.get());
}

} // namespace

Result<int> exec(const Options& options) {
    const store::Records records = open_records(options);
    const std::string& id = options.arguments.front();
    const store::Record record = TRY(records.load(id));
    // Opened first: what is checked below is checked of the process that we will follow.
    const auto leader = open_pidfd(record.pid);
    TRY_VOID(check_status(options, records, record));
    if (!leader)
        return fail(leader.error());

    ExecBase base = TRY(load_exec_base(records.folder(id)));
    if (!options.process_file.empty())
        base.spec.process = TRY(read_process(options.process_file));
    plan::ProcessPlan process = TRY(make_plan(options, base.spec, record.pid));
    // The container's own were named when it was created.
    if (!options.process_file.empty() || !options.capabilities.empty())
        warn_of_capabilities(options, process.process, leaves_user_namespace(record.pid));
    const Terminal terminal = TRY(prepare_terminal(options, process.process.terminal));
    if (const auto size = own_console_size(); terminal.received && size)
        process.process.console_size = size;
    const PidfdSocket pidfd_socket = TRY(PidfdSocket::connect(options.pidfd_socket));
    runtime::ExecOptions how;
    how.console_socket = terminal.socket.get();
    how.plain_newlines = terminal.received && ::isatty(STDOUT_FILENO) == 0;
    how.pass_fds = options.pass_fds;
    how.keep_cgroup = record.cgroup.empty();
    if (!how.keep_cgroup)
        how.cgroups = TRY(choose_cgroups(options, record));
    how.new_keyring = record.new_keyring;
    how.detached = options.detach;
    how.seccomp = base.seccomp ? &*base.seccomp : nullptr;
    how.state = facts_of(record);
    how.intel_rdt = base.spec.intel_rdt;

    std::optional<Foreground> foreground;
    if (!options.detach)
        foreground.emplace(terminal.received.get());
    const std::chrono::milliseconds timeout = options.ignore_paused ? until_resumed : start_timeout;
    const auto started = TRY(runtime::exec_in(record.pid, leader->get(), process, how, timeout));
    if (auto told = tell(options, started, pidfd_socket); !told) {
        // Whoever asked for it believes that nothing runs.
        [[maybe_unused]] auto killed = send_signal(started.pidfd.get(), SIGKILL);
        [[maybe_unused]] auto reaped = wait_exit(started.pid);
        return fail(std::move(told).error());
    }
    return options.detach ? 0 : foreground->wait(started.pid, started.pidfd.get());
}

} // namespace ctrd::ctr_oci
