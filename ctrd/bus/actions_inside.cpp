// What is done inside of a running container: by a helper, which enters it with the leader's descriptors.
#include "ctrd/bus/actions.hpp"
#include "ctrd/bus/exec_request.hpp"
#include "ctrd/bus/inside_request.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/reply.hpp"

#include <unistd.h>

namespace ctrd::bus {

void Actions::run_helper(sd_bus_message* call, const CallerRef& caller, const std::string& name, const Job& job) {
    const systemd::UnitFacts unit = registry_.unit(name);
    const std::string_view state = state_of(unit);
    // A unit that stops has a leader still, but it is on its way out.
    if (state == "paused")
        reply_error(call, error_name::not_running,
                    bad_input("container '" + name + "' is paused", "'ctrctl resume " + name + "' lets it go on"));
    else if (state != "running" || leader_of(unit) == 0)
        reply_not_running(call, name);
    else
        executions_.run(call, caller, name, leader_of(unit), job);
}

int Actions::exec(sd_bus_message* call, const std::string& name) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    auto read = read_exec_request(call);
    if (!read)
        return reply_error(call, error_name::bad_input, read.error());
    return authority_.check(
        call, action::exec, name, [this, name, request = *read](sd_bus_message* message, const CallerRef& caller) {
            Job job{ctr_run_program, "exec"};
            for (int number = 0; number < 3; ++number)
                job.fds.emplace_back(request.stdio[static_cast<std::size_t>(number)], number);
            if (request.console_socket >= 0)
                job.fds.emplace_back(request.console_socket, 4);
            const pid_t leader = leader_of(registry_.unit(name));
            job.request = [&request, leader](std::uint64_t started) { return to_json(request, leader, started); };
            job.explains = false;
            run_helper(message, caller, name, job);
        });
}

int Actions::copy(sd_bus_message* call, const std::string& name, bool in) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    auto read = in ? read_copy_to(call) : read_copy_from(call);
    if (!read)
        return reply_error(call, error_name::bad_input, read.error());
    return authority_.check(
        call, action::copy, name, [this, name, in, request = *read](sd_bus_message* message, const CallerRef& caller) {
            Job job{ctr_copy_program, in ? "to" : "from"};
            job.fds.emplace_back(request.data, in ? STDIN_FILENO : STDOUT_FILENO);
            const pid_t leader = leader_of(registry_.unit(name));
            job.request = [&request, leader](std::uint64_t started) { return to_json(request, leader, started); };
            run_helper(message, caller, name, job);
        });
}

int Actions::copy_to(sd_bus_message* call, const std::string& name) { return copy(call, name, true); }

int Actions::copy_from(sd_bus_message* call, const std::string& name) { return copy(call, name, false); }

int Actions::bind_mount(sd_bus_message* call, const std::string& name) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    auto read = read_bind(call);
    if (!read)
        return reply_error(call, error_name::bad_input, read.error());
    return authority_.check(call, action::bind_mount, name,
                            [this, name, request = *read](sd_bus_message* message, const CallerRef& caller) {
                                Job job{ctr_run_program, "bind"};
                                const pid_t leader = leader_of(registry_.unit(name));
                                job.request = [&request, leader](std::uint64_t started) {
                                    return to_json(request, leader, started);
                                };
                                run_helper(message, caller, name, job);
                            });
}

int Actions::attach(sd_bus_message* call, const std::string& name) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    return authority_.check(call, action::exec, name, [this, name](sd_bus_message* message, const CallerRef&) {
        if (leader_of(registry_.unit(name)) == 0) {
            reply_not_running(message, name);
        } else if (!terminals_.has(name)) {
            reply_error(message, error_name::no_terminal,
                        bad_input("container '" + name + "' has no terminal to attach to",
                                  "terminal = true in its file gives it one at its next start"));
        } else if (const auto attached = terminals_.attach(name).context("container '" + name + "'"); !attached) {
            reply_error(message, error_name::limits_exceeded, attached.error());
        } else if (const int r =
                       sd_bus_reply_method_return(message, "hh", attached->stream.get(), attached->window.get());
                   r < 0) {
            log_warning(os_error(-r, "cannot answer a call of Attach"));
        }
    });
}

} // namespace ctrd::bus
