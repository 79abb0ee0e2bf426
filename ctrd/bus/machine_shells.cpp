#include "ctrd/bus/machine_shells.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/bus/leader.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/machine_sockets.hpp"
#include "ctrd/bus/spawn.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace ctrd::bus {
namespace {

// A container whose root calls here all the time is to be a burden to nobody but itself.
constexpr std::int64_t caller_priority = SD_EVENT_PRIORITY_NORMAL + 20;
constexpr unsigned calls_per_second = 20; // of one container
constexpr std::ptrdiff_t callers_per_container = 4;
constexpr std::uint64_t longest_call = 30'000'000;
constexpr std::ptrdiff_t sessions_per_container = 32;
constexpr std::size_t most_sessions = 256;
constexpr const char* ctr_run = CTRD_LIBEXECDIR "/ctr-run";

/// A child of ours, which nobody reaps before it is waited for.
Result<pid_t> spawn_exec(const std::string& container, const std::array<int, 3>& stdio, int request) {
    SpawnPlan plan;
    for (int number = 0; number < 3; ++number)
        TRY_VOID(plan.pass(stdio[static_cast<std::size_t>(number)], number));
    TRY_VOID(plan.pass(request, 3));
    char verb[] = "exec";
    std::string program{"ctr-run"}, name{container};
    char* const argv[] = {program.data(), verb, name.data(), nullptr};
    return plan.spawn(ctr_run, argv);
}

} // namespace

/// As `ctr-run exec` reads it (tools/ctr-run/exec.hpp).
struct MachineShells::Start {
    std::vector<std::string> args{};
    std::vector<std::string> environment{};
    std::string user{};
    std::string tty{};
    bool again{false};
    std::array<int, 3> stdio{-1, -1, -1};

    [[nodiscard]] std::string to_json(pid_t leader, std::uint64_t leader_start) const {
        return nlohmann::json{{"leader", leader}, {"leader_start", leader_start},
                              {"args", args},     {"env", environment},
                              {"user", user},     {"cwd", ""},
                              {"tty", tty},       {"login", true},
                              {"again", again},   {"terminal", false}}
            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
};

void MachineShells::add(UniqueFd socket) {
    const std::string name = container_of_socket(socket.get());
    if (name.empty())
        return;
    remove(name);
    Door& door = doors_[name];
    door.owner = this;
    door.container = name;
    door.socket = std::move(socket);
    sd_event_source* source = nullptr;
    int r = sd_event_add_io(event_, &source, door.socket.get(), EPOLLIN, on_connection, &door);
    door.source.reset(source);
    if (r >= 0)
        r = sd_event_source_set_priority(source, caller_priority);
    if (r >= 0)
        r = sd_event_source_set_ratelimit(source, 1'000'000, calls_per_second);
    if (r >= 0)
        return;
    log_warning(os_error(-r, "container '" + name + "': cannot watch its machine socket"));
    doors_.erase(name);
}

void MachineShells::remove(const std::string& container) {
    doors_.erase(container);
    callers_.remove_if([&](const Caller& caller) { return caller.container == container; });
}

void MachineShells::drop(const Caller& caller) {
    callers_.remove_if([&](const Caller& one) { return &one == &caller; });
}

/// The one that has been here longest without a word goes: machined speaks at once.
void MachineShells::make_room(const std::string& container) {
    const auto is_its = [&](const Caller& caller) { return caller.container == container; };
    if (std::ranges::count_if(callers_, is_its) < callers_per_container)
        return;
    const auto silent = std::ranges::find_if(
        callers_, [&](const Caller& caller) { return is_its(caller) && caller.responder == nullptr; });
    callers_.erase(silent != callers_.end() ? silent : std::ranges::find_if(callers_, is_its));
}

void MachineShells::accept(Door& door) {
    UniqueFd connection{::accept4(door.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!connection) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            log_warning(os_error(errno, "container '" + door.container + "': cannot accept at its machine socket"));
        return;
    }
    make_room(door.container);
    Caller& caller = callers_.emplace_back(Caller{this, door.container, std::move(connection), {}, {}, {}});
    if (auto watched = watch(caller); !watched) {
        log_warning(std::move(watched).context("container '" + door.container + "'").error());
        drop(caller);
    }
}

Result<void> MachineShells::watch(Caller& caller) {
    sd_event_source* source = nullptr;
    int r = sd_event_add_io(event_, &source, caller.connection.get(), EPOLLIN, on_first_word, &caller);
    caller.readable.reset(source);
    if (r >= 0)
        r = sd_event_source_set_priority(source, caller_priority);
    if (r >= 0) {
        r = sd_event_add_time_relative(event_, &source, CLOCK_MONOTONIC, longest_call, 0, on_deadline, &caller);
        caller.deadline.reset(r >= 0 ? source : nullptr);
    }
    return r < 0 ? fail(os_error(-r, "cannot watch a call of machined")) : Result<void>{};
}

int MachineShells::on_connection(sd_event_source*, int, std::uint32_t, void* userdata) noexcept {
    auto& door = *static_cast<Door*>(userdata);
    door.owner->accept(door);
    return 0;
}

int MachineShells::on_first_word(sd_event_source*, int fd, std::uint32_t, void* userdata) noexcept {
    auto& caller = *static_cast<Caller*>(userdata);
    MachineShells& owner = *caller.owner;
    if (!is_from_machined(fd))
        owner.drop(caller);
    else if (auto served = owner.serve(caller); !served) {
        log_warning(std::move(served).context("container '" + caller.container + "'").error());
        owner.drop(caller);
    }
    return 0;
}

int MachineShells::on_deadline(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    auto& caller = *static_cast<Caller*>(userdata);
    caller.owner->drop(caller);
    return 0;
}

Result<void> MachineShells::serve(Caller& caller) {
    caller.readable.reset();
    const std::string name = caller.container;
    const auto report = [](const std::string& container, Result<void> started) {
        auto told = std::move(started).context("container '" + container + "'");
        if (!told)
            log_warning(told.error());
        return told;
    };
    caller.responder = TRY(systemd::ShellResponder::serve(
        event_, std::move(caller.connection),
        {[this, name, report](const systemd::ShellRequest& request) { return report(name, open_shell(name, request)); },
         [this, name, report](unsigned terminal) { return report(name, open_login(name, terminal)); },
         [this, &caller] { drop(caller); }}));
    return {};
}

Result<void> MachineShells::open_shell(const std::string& container, const systemd::ShellRequest& request) {
    const int terminal = request.terminal.get();
    log_info("container '" + container + "': a session of machined's: " + request.args.front() + " as " + request.user);
    return start_session(
        container, {request.args, request.environment, request.user, "stdin", false, {terminal, terminal, terminal}});
}

/// As container-getty@.service does: again whenever it has ended, until nobody is at the terminal.
Result<void> MachineShells::open_login(const std::string& container, unsigned terminal) {
    const UniqueFd null = TRY(open_at(AT_FDCWD, "/dev/null", O_RDONLY));
    log_info("container '" + container + "': a log-in on its /dev/pts/" + std::to_string(terminal));
    return start_session(container, {{"login"},
                                     {"TERM=vt220"},
                                     "root",
                                     "/dev/pts/" + std::to_string(terminal),
                                     true,
                                     {null.get(), STDERR_FILENO, STDERR_FILENO}});
}

Result<void> MachineShells::start_session(const std::string& container, const Start& start) {
    const pid_t leader = leader_(container);
    if (leader == 0)
        return fail(os_error(ESRCH, "it does not run"));
    const auto of_container = std::ranges::count(sessions_, container, &Session::container);
    if (of_container >= sessions_per_container || sessions_.size() >= most_sessions)
        return fail(Error{std::errc::resource_unavailable_try_again, "too many sessions are open", ""});
    const std::uint64_t leader_start = TRY(verify_leader(container, leader));
    const UniqueFd request = TRY(make_memfd("ctrd-exec", start.to_json(leader, leader_start)));
    const pid_t pid = TRY(spawn_exec(container, start.stdio, request.get()));
    Session& session = sessions_.emplace_back(Session{this, container, UniqueFd{}, {}});
    auto pidfd = open_pidfd(pid);
    sd_event_source* source = nullptr;
    const int r =
        pidfd ? sd_event_add_child_pidfd(event_, &source, pidfd->get(), WEXITED, on_session_end, &session) : -ESRCH;
    if (r < 0) {
        sessions_.pop_back();
        return fail(os_error(-r, "cannot watch 'ctr-run exec'"));
    }
    session.pidfd = *std::move(pidfd);
    session.source.reset(source);
    if (begin_)
        begin_(container);
    return {};
}

bool MachineShells::any_in(const std::string& container) const {
    return std::ranges::find(sessions_, container, &Session::container) != sessions_.end();
}

int MachineShells::on_session_end(sd_event_source*, const siginfo_t*, void* userdata) noexcept {
    auto& session = *static_cast<Session*>(userdata);
    session.owner->sessions_.remove_if([&](const Session& one) { return &one == &session; });
    return 0;
}

} // namespace ctrd::bus
