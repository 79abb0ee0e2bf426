#include "ctrd/bus/exec.hpp"

#include "ctrd/base/fault.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/bus/leader.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/reply.hpp"
#include "ctrd/bus/spawn.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace ctrd::bus {
namespace {

// Each holds some five descriptors here, of 1024.
constexpr std::size_t most_of_all = 64;
constexpr std::size_t most_of_a_user = 16;
// Of these two, what polkit is not asked about: nobody fills all places with it.
constexpr std::size_t most_for_all = 16;
constexpr std::size_t most_for_one_of_all = 4;
constexpr int request_number = 3;
constexpr std::size_t longest_reason = 4096;

int exit_status(const siginfo_t& info) { return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status; }

} // namespace

struct Executions::Execution {
    Executions* owner{nullptr};
    systemd::BusMessage call{};
    CallerRef caller{};
    std::string container{};
    UniqueFd reason{}; // what the helper writes on stderr, where that is an answer's text
    bool is_for_all{false};
    std::function<void(sd_bus_message* call)> done{};
    UniqueFd pidfd{};
    sd_event_source* source{nullptr};

    ~Execution() { sd_event_source_disable_unref(source); }
    Execution() = default;
    Execution(const Execution&) = delete;
    Execution& operator=(const Execution&) = delete;
};

Executions::Executions(sd_event* event) : event_{event} {}
Executions::~Executions() = default;

Result<void> Executions::check_room(uid_t caller, bool is_for_all) const {
    std::size_t all = 0, own = 0;
    for (const auto& one : running_) {
        const bool counts = !is_for_all || one->is_for_all;
        all += counts ? 1 : 0;
        own += counts && one->caller->uid() == caller ? 1 : 0;
    }
    const std::size_t most = is_for_all ? most_for_all : most_of_all;
    const std::size_t most_own = is_for_all ? most_for_one_of_all : most_of_a_user;
    if (running_.size() < most_of_all && all < most && (caller == 0 || own < most_own))
        return {};
    return fail(Error{std::errc::resource_unavailable_try_again, "too many helpers work for ctrd already",
                      "wait for one to end"});
}

Result<void> Executions::start(Execution& execution, int request_fd, const Job& job) {
    SpawnPlan plan;
    for (const auto& [fd, number] : job.fds)
        TRY_VOID(plan.pass(fd, number));
    TRY_VOID(plan.pass(request_fd, request_number));
    if (job.explains) {
        execution.reason = UniqueFd{::memfd_create("ctrd-reason", MFD_CLOEXEC)};
        if (!execution.reason)
            return fail(os_error(errno, "cannot make a memory file"));
        TRY_VOID(plan.pass(execution.reason.get(), STDERR_FILENO));
    }
    std::vector<std::string> words{job.program};
    if (job.arguments.empty())
        words.insert(words.end(), {job.verb, execution.container});
    else
        words.insert(words.end(), job.arguments.begin(), job.arguments.end());
    std::vector<char*> argv;
    for (auto& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    const pid_t pid = TRY(plan.spawn(job.program, argv.data()));
    // Nobody reaps it before its event source exists, so the number is still its own.
    execution.pidfd = TRY(open_pidfd(pid));
    if (const int r =
            sd_event_add_child_pidfd(event_, &execution.source, execution.pidfd.get(), WEXITED, on_exit, &execution);
        r < 0) {
        [[maybe_unused]] auto ended = send_signal(execution.pidfd.get(), SIGTERM);
        return fail(os_error(-r, "cannot watch '" + words.front() + "'"));
    }
    return {};
}

void Executions::launch(sd_bus_message* call, const CallerRef& caller, const std::string& container,
                        std::uint64_t leader_start, const Job& job) {
    const std::string where = container.empty() ? "" : "container '" + container + "': ";
    const auto refuse = [&](const char* name, Error error) {
        error.message = where + error.message;
        reply_error(call, name, error);
    };
    if (auto room = check_room(caller->uid(), job.is_for_all); !room)
        return refuse(error_name::limits_exceeded, room.error());
    auto execution = std::make_unique<Execution>();
    execution->owner = this;
    execution->call = systemd::keep(call);
    execution->caller = caller;
    execution->container = container;
    execution->is_for_all = job.is_for_all;
    execution->done = job.done;
    const auto memory = make_memfd("ctrd-request", job.request ? job.request(leader_start) : "");
    if (!memory)
        return refuse(error_name::failed, memory.error());
    if (leader_start != 0 && begin_)
        begin_(container);
    if (auto spawned = start(*execution, memory->get(), job); !spawned)
        return refuse(error_name::failed, spawned.error());
    caller->on_gone([started_one = execution.get()] { on_caller_gone(*started_one); });
    running_.insert(std::move(execution));
    fault_point("ctrd-helper-started");
}

void Executions::run(sd_bus_message* call, const CallerRef& caller, const std::string& container, pid_t leader,
                     const Job& job) {
    if (const auto started = verify_leader(container, leader))
        launch(call, caller, container, *started, job);
    else
        reply_error(
            call, error_name::not_running,
            {started.error().code, "container '" + container + "': " + started.error().message, started.error().hint});
}

void Executions::run_apart(sd_bus_message* call, const CallerRef& caller, const std::string& container,
                           const Job& job) {
    launch(call, caller, container, 0, job);
}

bool Executions::any_in(const std::string& container) const {
    return std::ranges::any_of(running_, [&](const auto& one) { return one->container == container; });
}

/// A helper that explains itself says nothing when all is done; else its words are the error's.
void Executions::answer(const Execution& execution, int status) {
    sd_bus_message* call = execution.call.get();
    if (!execution.reason) {
        if (const int r = sd_bus_reply_method_return(call, "i", status); r < 0)
            log_warning(os_error(-r, "cannot answer a call of Exec"));
    } else if (status == 0) {
        execution.done ? execution.done(call) : static_cast<void>(reply_done(call));
    } else {
        ::lseek(execution.reason.get(), 0, SEEK_SET);
        auto text = read_all(execution.reason.get(), longest_reason);
        while (text && text->ends_with('\n'))
            text->pop_back();
        const bool said = text && !text->empty();
        const std::string where = execution.container.empty() ? "" : "container '" + execution.container + "': ";
        reply_error(call, status == 2 ? error_name::bad_input : error_name::failed,
                    bad_input(where + (said ? *text : "the helper ended with status " + std::to_string(status))));
    }
}

int Executions::on_exit(sd_event_source*, const siginfo_t* info, void* userdata) noexcept {
    auto* raw = static_cast<Execution*>(userdata);
    auto& running = raw->owner->running_;
    const auto at = std::ranges::find(running, raw, &std::unique_ptr<Execution>::get);
    const auto execution = std::move(running.extract(at).value());
    execution->caller->on_gone({});
    answer(*execution, exit_status(*info));
    return 0;
}

/// The helper takes what it has made with it. The call is kept until it has ended: its answer goes nowhere.
void Executions::on_caller_gone(const Execution& execution) {
    if (auto sent = send_signal(execution.pidfd.get(), SIGTERM);
        !sent && sent.error().code != std::errc::no_such_process)
        log_warning(std::move(sent).context("container '" + execution.container + "': exec").error());
}

} // namespace ctrd::bus
