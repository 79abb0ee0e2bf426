#include "ctrd/bus/exec.hpp"

#include "ctrd/activation/late_bind.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/reply.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

namespace ctrd::bus {
namespace {

constexpr const char* ctr_run = CTRD_LIBEXECDIR "/ctr-run";
// Each holds some five descriptors here, of 1024.
constexpr std::size_t most_of_all = 64;
constexpr std::size_t most_of_a_user = 16;
constexpr int first_free_fd = 16; // above every number that the child is to have

/// The spawned program's descriptors and signals, freed in the end.
class SpawnPlan {
public:
    SpawnPlan() {
        ::posix_spawn_file_actions_init(&actions_);
        ::posix_spawnattr_init(&attributes_);
        sigset_t none, all;
        ::sigemptyset(&none);
        ::sigfillset(&all);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        ::posix_spawnattr_setsigdefault(&attributes_, &all);
        ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    }
    ~SpawnPlan() {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;

    /// The child gets `fd` as `number`. A copy far above the numbers is made first: an fd of ours may be one of them.
    Result<void> pass(int fd, int number) {
        UniqueFd copy{::fcntl(fd, F_DUPFD_CLOEXEC, first_free_fd)};
        if (!copy)
            return fail(os_error(errno, "cannot pass a descriptor on"));
        ::posix_spawn_file_actions_adddup2(&actions_, copy.get(), number);
        copies_.push_back(std::move(copy));
        return {};
    }

    Result<pid_t> spawn(const char* program, char* const* argv) const {
        char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        char* const environment[] = {path, nullptr};
        pid_t pid = 0;
        if (const int err = ::posix_spawn(&pid, program, &actions_, &attributes_, argv, environment); err != 0)
            return fail(os_error(err, "cannot execute '" + std::string{program} + "'"));
        return pid;
    }

private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
    std::vector<UniqueFd> copies_{};
};

int exit_status(const siginfo_t& info) { return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status; }

/// The leader that systemd named may have ended, and its number be another's by now.
Result<std::uint64_t> verify_leader(const std::string& container, pid_t leader) {
    const std::uint64_t started = TRY(start_time(leader));
    if (activation::container_of_cgroup(TRY(cgroup_of(leader))) != container)
        return fail(os_error(ESRCH, "its first process has ended"));
    return started;
}

} // namespace

struct Executions::Execution {
    Executions* owner{nullptr};
    systemd::BusMessage call{};
    systemd::BusTrack track{};
    uid_t caller{0};
    std::string container{};
    UniqueFd pidfd{};
    sd_event_source* source{nullptr};

    ~Execution() { sd_event_source_disable_unref(source); }
    Execution() = default;
    Execution(const Execution&) = delete;
    Execution& operator=(const Execution&) = delete;
};

Executions::Executions(sd_bus* bus, sd_event* event) : bus_{bus}, event_{event} {}
Executions::~Executions() = default;

Result<void> Executions::check_room(uid_t caller) const {
    const auto of_caller = std::ranges::count(running_, caller, [](const auto& one) { return one->caller; });
    if (running_.size() < most_of_all && (caller == 0 || static_cast<std::size_t>(of_caller) < most_of_a_user))
        return {};
    return fail(Error{std::errc::resource_unavailable_try_again,
                      "too many commands run in containers through ctrd already", "wait for one to end"});
}

Result<void> Executions::start(Execution& execution, int request_fd, const ExecRequest& request) {
    SpawnPlan plan;
    for (int number = 0; number < 3; ++number)
        TRY_VOID(plan.pass(request.stdio[static_cast<std::size_t>(number)], number));
    TRY_VOID(plan.pass(request_fd, 3));
    if (request.console_socket >= 0)
        TRY_VOID(plan.pass(request.console_socket, 4));
    char verb[] = "exec";
    std::string program{"ctr-run"}, name{execution.container};
    char* const argv[] = {program.data(), verb, name.data(), nullptr};
    const pid_t pid = TRY(plan.spawn(ctr_run, argv));
    // Nobody reaps it before its event source exists, so the number is still its own.
    execution.pidfd = TRY(open_pidfd(pid));
    if (const int r =
            sd_event_add_child_pidfd(event_, &execution.source, execution.pidfd.get(), WEXITED, on_exit, &execution);
        r < 0) {
        [[maybe_unused]] auto ended = send_signal(execution.pidfd.get(), SIGTERM);
        return fail(os_error(-r, "cannot watch '" + std::string{ctr_run} + "'"));
    }
    return {};
}

Result<void> Executions::track_caller(Execution& execution) {
    sd_bus_track* track = nullptr;
    int r = sd_bus_track_new(bus_, &track, on_caller_gone, &execution);
    execution.track.reset(track);
    if (r >= 0)
        r = sd_bus_track_add_sender(track, execution.call.get());
    if (r < 0)
        return fail(os_error(-r, "cannot watch the caller"));
    return {};
}

void Executions::run(sd_bus_message* call, uid_t caller, const std::string& container, pid_t leader,
                     const ExecRequest& request) {
    const std::string where = "container '" + container + "'";
    const auto refuse = [&](const char* name, Error error) {
        error.message = where + ": " + error.message;
        reply_error(call, name, error);
    };
    if (auto room = check_room(caller); !room)
        return refuse(error_name::limits_exceeded, room.error());
    const auto started = verify_leader(container, leader);
    if (!started)
        return refuse(error_name::not_running, started.error());
    auto execution = std::make_unique<Execution>();
    execution->owner = this;
    execution->call = systemd::keep(call);
    execution->caller = caller;
    execution->container = container;
    const auto memory = make_memfd("ctrd-exec", to_json(request, leader, *started));
    if (!memory)
        return refuse(error_name::failed, memory.error());
    if (auto tracked = track_caller(*execution); !tracked)
        return refuse(error_name::failed, tracked.error());
    if (begin_)
        begin_(container);
    if (auto spawned = start(*execution, memory->get(), request); !spawned)
        return refuse(error_name::failed, spawned.error());
    running_.insert(std::move(execution));
}

bool Executions::any_in(const std::string& container) const {
    return std::ranges::any_of(running_, [&](const auto& one) { return one->container == container; });
}

int Executions::on_exit(sd_event_source*, const siginfo_t* info, void* userdata) noexcept {
    auto* raw = static_cast<Execution*>(userdata);
    auto& running = raw->owner->running_;
    const auto at = std::ranges::find(running, raw, &std::unique_ptr<Execution>::get);
    const auto execution = std::move(running.extract(at).value());
    if (const int r = sd_bus_reply_method_return(execution->call.get(), "i", exit_status(*info)); r < 0)
        log_warning(os_error(-r, "cannot answer a call of Exec"));
    return 0;
}

/// ctr-run takes the process with it. The call is kept until it has ended: its answer goes nowhere.
int Executions::on_caller_gone(sd_bus_track*, void* userdata) noexcept {
    auto& execution = *static_cast<Execution*>(userdata);
    if (auto sent = send_signal(execution.pidfd.get(), SIGTERM);
        !sent && sent.error().code != std::errc::no_such_process)
        log_warning(std::move(sent).context("container '" + execution.container + "': exec").error());
    return 0;
}

} // namespace ctrd::bus
