// `ctr-run exec`: one more process in a running container, on behalf of ctrd, which never does such work in its own
// process. The request is in a memory file on descriptor 3, a console socket for a terminal on 4.
#include "tools/ctr-run/exec.hpp"

#include "config/users.hpp"
#include "ctrd/base/fault.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/base/rooted.hpp"
#include "ctrd/plan/plan.hpp"
#include "ctrd/runtime/container.hpp"
#include "tools/ctr-run/commands.hpp"
#include "tools/ctr-run/declared.hpp"
#include "tools/ctr-run/exec_terminal.hpp"
#include "tools/ctr-run/leader.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

namespace ctrd::run {
namespace {

using namespace std::chrono_literals;
constexpr int request_fd = 3;
constexpr int console_fd = 4;
constexpr std::size_t largest_request = 1U << 20;
constexpr std::size_t largest_user_file = 4U << 20;
constexpr rlim_t usual_descriptors = 1024;
constexpr auto start_timeout = 30s;
constexpr auto pause_between = 1s; // of what is run again and again

/// Of the rootfs as the container sees it. Absent: empty.
Result<std::string> user_file(int root, const std::string& path) {
    auto text = rooted::read_file(root, path, largest_user_file);
    return !text && text.error().code == std::errc::no_such_file_or_directory ? Result<std::string>{""} : text;
}

Result<UniqueFd> open_root(const ExecRequest& request) {
    return open_at(AT_FDCWD, "/proc/" + std::to_string(request.leader) + "/root", O_PATH | O_DIRECTORY);
}

/// A folder that is not there would be made (as for any other working directory): not this one.
std::string home_or_root(int root, const std::string& home) {
    return rooted::open(root, home, O_PATH | O_DIRECTORY) ? home : "/";
}

Result<void> set_user(oci::Process& process, const ExecRequest& request) {
    if (request.user.empty())
        return {};
    const UniqueFd root = TRY(open_root(request));
    const std::string passwd = TRY(user_file(root.get(), "/etc/passwd"));
    const std::string group = TRY(user_file(root.get(), "/etc/group"));
    // Root is who machined asks for by default, and is there also where nobody has a name.
    const bool nameless = passwd.empty() && request.user == "root";
    const auto user = TRY(config::resolve_user(nameless ? "0" : request.user, passwd, group));
    if (request.login) {
        process.cwd = home_or_root(root.get(), user.home);
        set_variable(process.env, "USER=" + request.user);
        set_variable(process.env, "LOGNAME=" + request.user);
    }
    process.user.uid = user.uid;
    process.user.gid = user.gid;
    process.user.additional_gids = user.additional_gids;
    set_variable(process.env, "HOME=" + user.home);
    return {};
}

Result<plan::ProcessPlan> make_plan(const oci::Spec& spec, const ExecRequest& request) {
    if (!spec.process)
        return fail(bad_input("the container's config has no process"));
    oci::Process process = *spec.process;
    process.args = request.args;
    process.terminal = request.terminal;
    process.console_size.reset();
    TRY_VOID(set_user(process, request));
    if (!request.cwd.empty())
        process.cwd = request.cwd;
    for (const std::string& variable : request.env)
        set_variable(process.env, variable);
    return plan::make_process_plan(process, spec.seccomp);
}

/// SIGTERM is for the process: blocked before it exists, so that none is lost.
Result<UniqueFd> take_over_sigterm() {
    sigset_t mask;
    ::sigemptyset(&mask);
    ::sigaddset(&mask, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &mask, nullptr);
    UniqueFd fd{::signalfd(-1, &mask, SFD_CLOEXEC)};
    if (!fd)
        return fail(os_error(errno, "cannot make a signalfd"));
    return fd;
}

/// What we were told to end is not run again: nullopt.
Result<std::optional<int>> await_end(const runtime::ExecProcess& process, int sigterm) {
    std::array events{pollfd{process.pidfd.get(), POLLIN, 0}, pollfd{sigterm, POLLIN, 0}};
    while (events[0].revents == 0) {
        if (::poll(events.data(), events.size(), -1) < 0 && errno != EINTR)
            return fail(os_error(errno, "cannot wait for the process"));
        if (events[1].revents != 0 && events[0].revents == 0) {
            [[maybe_unused]] auto killed = send_signal(process.pidfd.get(), SIGKILL);
            TRY(wait_exit(process.pid));
            return std::nullopt;
        }
    }
    return TRY(wait_exit(process.pid));
}

/// False when there is to be no next time.
bool pause(int sigterm) {
    pollfd told{sigterm, POLLIN, 0};
    return ::poll(&told, 1, std::chrono::milliseconds{pause_between}.count()) == 0 && !has_hung_up(STDIN_FILENO);
}

Result<int> run_until_end(const ExecRequest& request, int leader, const plan::ProcessPlan& process,
                          const runtime::ExecOptions& options, int sigterm) {
    for (;;) {
        const auto started = TRY(runtime::exec_in(request.leader, leader, process, options, start_timeout));
        fault_point("exec-started");
        const auto status = TRY(await_end(started, sigterm));
        if (!status)
            return 128 + SIGTERM;
        if (!request.again || !pause(sigterm))
            return *status;
    }
}

/// ctrd needs many descriptors; programs that use select(2), or close all that may be open, want systemd's default.
void restore_usual_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > usual_descriptors) {
        limit.rlim_cur = usual_descriptors;
        [[maybe_unused]] const int lowered = ::setrlimit(RLIMIT_NOFILE, &limit); // can't fail
    }
}

Result<int> run(const std::string& name) {
    restore_usual_limit();
    const UniqueFd sigterm = TRY(take_over_sigterm());
    UniqueFd file{request_fd};
    const std::string text = TRY(read_all(file.get(), largest_request).context("request"));
    const ExecRequest request = TRY(parse_exec_request(text));
    file = UniqueFd{};
    fault_point("exec-begun");
    const UniqueFd leader = TRY(open_leader(name, request.leader, request.leader_start));
    if (!request.tty.empty()) {
        const UniqueFd root = TRY(open_root(request));
        TRY_VOID(take_terminal(request.tty, root.get()));
    }
    const Declared declared = TRY(load_declared(name));
    const plan::ProcessPlan process = TRY(make_plan(declared.spec, request));
    UniqueFd console{request.terminal ? console_fd : -1};
    if (console && ::fcntl(console.get(), F_SETFD, FD_CLOEXEC) < 0)
        return fail(os_error(errno, "a terminal was asked for without a console socket on descriptor 4"));
    runtime::ExecOptions options;
    options.console_socket = console.get();
    options.terminal = request.tty.empty() ? -1 : STDIN_FILENO;
    return run_until_end(request, leader.get(), process, options, sigterm.get());
}

/// As a shell has them, where it is the program itself that can't be run.
int code_of(const Error& error) {
    if (!error.message.starts_with("cannot run '"))
        return exec_failed;
    return error.code == std::errc::no_such_file_or_directory ? command_not_found : not_executable;
}

} // namespace

int exec(const std::string& name) {
    const auto status = run(name);
    if (status)
        return *status;
    print_error(name, status.error());
    return code_of(status.error());
}

} // namespace ctrd::run
