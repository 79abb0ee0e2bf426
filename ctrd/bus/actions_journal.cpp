// What the journal has of containers: journalctl reads it, which may wait for a disk, and writes to the caller's
// descriptor.
#include "ctrd/bus/actions.hpp"
#include "ctrd/bus/journal_request.hpp"
#include "ctrd/bus/reply.hpp"

#include <unistd.h>

namespace ctrd::bus {
namespace {

Job journal_job(int output, std::vector<std::string> arguments) {
    Job job{journalctl_program};
    job.fds.emplace_back(output, STDOUT_FILENO);
    job.arguments = std::move(arguments);
    return job;
}

} // namespace

int Actions::logs(sd_bus_message* call, const std::string& name) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    auto request = read_journal_request(call, false);
    if (!request)
        return reply_error(call, error_name::bad_input, request.error());
    return authority_.check(call, action::read_logs, name,
                            [this, name, asked = *request](sd_bus_message* message, const CallerRef& caller) {
                                executions_.run_apart(
                                    message, caller, name,
                                    journal_job(asked.output, log_arguments(asked, systemd::unit_of(name))));
                            });
}

int Actions::events(sd_bus_message* call) {
    auto request = read_journal_request(call, true);
    if (!request)
        return reply_error(call, error_name::bad_input, request.error());
    return callers_.identify(call, [this, asked = *request](sd_bus_message* message, const CallerRef& caller) {
        Job job = journal_job(asked.output, event_arguments(asked));
        job.is_for_all = true;
        executions_.run_apart(message, caller, "", job);
    });
}

} // namespace ctrd::bus
