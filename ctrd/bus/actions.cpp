#include "ctrd/bus/actions.hpp"

#include "ctrd/activation/late_bind.hpp"
#include "ctrd/base/fault.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/bus/reply.hpp"

#include <csignal>
#include <memory>

namespace ctrd::bus {
namespace {

/// A call that waits for something; std::function wants what can be copied.
using Kept = std::shared_ptr<sd_bus_message>;

Kept keep(sd_bus_message* call) { return Kept{sd_bus_message_ref(call), sd_bus_message_unref}; }

void answer_stop(sd_bus_message* call, const std::string& name, const Result<std::string>& job) {
    if (job && *job == "done") {
        reply_done(call);
        return;
    }
    const std::string what = "container '" + name + "' did not stop: ";
    if (!job)
        reply_error(call, error_name::stop_failed, {job.error().code, what + job.error().message, ""});
    else if (*job == "canceled")
        reply_error(call, error_name::stop_failed, bad_input(what + "somebody asked for something else meanwhile"));
    else
        reply_error(call, error_name::stop_failed,
                    {std::errc::io_error, what + "its job ended with '" + *job + "'",
                     "journalctl -u " + systemd::unit_of(name)});
}

/// By a pidfd, and only after a look at who it is: the number that systemd told may be another's by now.
Result<void> kill_leader(const std::string& name, pid_t leader, int signal) {
    const UniqueFd pidfd = TRY(open_pidfd(leader));
    if (container_of_process(leader) != name)
        return fail(os_error(ESRCH, "its first process has ended"));
    return send_signal(pidfd.get(), signal);
}

Result<void> check_kill(const std::string& whom, int signal) {
    if (whom != "leader" && whom != "all")
        return fail(bad_input("there is no '" + whom + "' to kill", "it is 'leader' or 'all'"));
    if (signal < 1 || signal > SIGRTMAX)
        return fail(bad_input("there is no signal " + std::to_string(signal)));
    return {};
}

} // namespace

int reply_not_running(sd_bus_message* call, const std::string& name) {
    return reply_error(call, error_name::not_running, bad_input("container '" + name + "' is not running"));
}

/// Of the unit, without what is below it. The kernel's word: systemd does not announce it.
std::string cgroup_of_container(const Container& container) {
    const pid_t leader = leader_of(container.unit);
    auto cgroup = leader != 0 ? cgroup_of(leader) : Result<std::string>{};
    if (!cgroup)
        return {};
    const std::string component = "/" + systemd::unit_of(container.name);
    const std::size_t at = cgroup->find(component + "/");
    if (at != std::string::npos)
        cgroup->resize(at + component.size());
    return cgroup->ends_with(component) ? *cgroup : std::string{}; // else the leader's number is another's by now
}

std::string cgroup_folder_of(const Container& container) {
    const std::string cgroup = cgroup_of_container(container);
    const auto mount = cgroup_mount();
    return cgroup.empty() || !mount ? std::string{} : *mount + cgroup;
}

std::string container_of_process(pid_t pid) {
    const auto cgroup = cgroup_of(pid);
    return cgroup ? activation::container_of_cgroup(*cgroup) : std::string{};
}

namespace {

/// A call that is answered when a job ends, which may be never: systemd lets those of a frozen unit wait. When its
/// caller has left the bus nobody waits for the answer, and what came with the call is let go.
struct Later {
    systemd::BusMessage call{};
    CallerRef caller{};
};

std::shared_ptr<Later> until_gone(sd_bus_message* call, const CallerRef& caller) {
    auto later = std::make_shared<Later>(Later{systemd::keep(call), caller});
    caller->on_gone([known = std::weak_ptr{later}] {
        if (const auto one = known.lock())
            one->call.reset();
    });
    return later;
}

} // namespace

void Actions::answer_start(sd_bus_message* call, const std::string& name, const Result<std::string>& job) const {
    if (job && *job == "done")
        reply_done(call);
    else if (job)
        reply_error(call, error_name::start_failed, start_failure(name, *job, registry_.unit(name)));
    else
        reply_error(call, error_name::start_failed,
                    {job.error().code, "container '" + name + "' did not start: " + job.error().message, ""});
}

int Actions::start(sd_bus_message* call, const std::string& name) {
    const Container* container = registry_.find(name);
    if (container == nullptr || !container->declared)
        return reply_no_such_container(call, name);
    return authority_.check(call, action::manage, name, [this, name](sd_bus_message* message, const CallerRef& caller) {
        fault_point("ctrd-before-start");
        units_.start(name, [this, name, later = until_gone(message, caller)](const auto& job) {
            if (later->call)
                answer_start(later->call.get(), name, job);
        });
    });
}

int Actions::stop(sd_bus_message* call, const std::string& name) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    return authority_.check(call, action::manage, name, [this, name](sd_bus_message* message, const CallerRef& caller) {
        fault_point("ctrd-before-stop");
        units_.stop(name, [name, later = until_gone(message, caller)](const auto& job) {
            if (later->call)
                answer_stop(later->call.get(), name, job);
        });
    });
}

int Actions::restart(sd_bus_message* call, const std::string& name) {
    const Container* container = registry_.find(name);
    if (container == nullptr || !container->declared)
        return reply_no_such_container(call, name);
    return authority_.check(call, action::manage, name, [this, name](sd_bus_message* message, const CallerRef& caller) {
        units_.restart(name, [this, name, later = until_gone(message, caller)](const auto& job) {
            if (later->call)
                answer_start(later->call.get(), name, job);
        });
    });
}

int Actions::kill(sd_bus_message* call, const std::string& name, const std::string& whom, int signal) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    if (auto good = check_kill(whom, signal); !good)
        return reply_error(call, error_name::bad_input, good.error());
    return authority_.check(call, action::manage, name, [=, this](sd_bus_message* message, const CallerRef&) {
        const pid_t leader = leader_of(registry_.unit(name));
        if (leader == 0) {
            reply_not_running(message, name);
        } else if (whom == "all") {
            units_.kill_all(name, signal, [kept = keep(message)](const Result<void>& done) {
                done ? reply_done(kept.get()) : reply_error(kept.get(), error_name::failed, done.error());
            });
        } else {
            const auto sent = kill_leader(name, leader, signal).context("container '" + name + "'");
            sent ? reply_done(message) : reply_error(message, error_name::not_running, sent.error());
        }
    });
}

} // namespace ctrd::bus
