// `ctr-run clean` (ExecStopPost=): whatever way the container ended, nothing of it stays.
#include "tools/ctr-run/commands.hpp"

#include "ctrd/activation/listener.hpp"
#include "ctrd/activation/record.hpp"
#include "ctrd/activation/refuse.hpp"
#include "ctrd/activation/starts.hpp"
#include "ctrd/activation/stop_mark.hpp"
#include "ctrd/activation/traffic.hpp"
#include "ctrd/base/fault.hpp"
#include "tools/ctr-run/events.hpp"
#include "tools/ctr-run/handover.hpp"
#include "tools/ctr-run/host_files.hpp"
#include "tools/ctr-run/image.hpp"
#include "tools/ctr-run/machine_files.hpp"
#include "tools/ctr-run/output.hpp"
#include "tools/ctr-run/stopwatch.hpp"
#include "tools/ctr-run/unit.hpp"

#include <sys/socket.h>

#include <cstdlib>
#include <cstring>

namespace ctrd::run {
namespace {

/// Of the last start, by its record; none where there was none.
std::vector<UniqueFd> take_listeners(const std::string& name) {
    std::vector<UniqueFd> listeners;
    const auto record = activation::read_record(name);
    for (const auto& socket : record ? record->sockets : std::vector<activation::RecordedSocket>{})
        if (auto listener = activation::take_listener(socket.inode, record->cgroup))
            listeners.push_back(std::move(*listener));
    return listeners;
}

/// When the service has stopped, systemd polls the listener again; one that a payload has shut down would fail the
/// socket unit, and the port would be dead.
void listen_again(const std::string& name, const std::vector<UniqueFd>& listeners) {
    for (const UniqueFd& listener : listeners) {
        const auto facts = activation::look_at(listener.get());
        if (!facts || facts->listening || facts->type != SOCK_STREAM)
            continue;
        if (auto restored = activation::restore_backlog(listener.get()); !restored)
            print_warning(name, restored.error());
    }
}

/// $SERVICE_RESULT is systemd's own word.
bool ended_well() {
    const char* result = std::getenv("SERVICE_RESULT");
    return result == nullptr || std::strcmp(result, "success") == 0;
}

/// A payload that fails again and again is not started again as fast as it fails, and who connects meanwhile is told
/// at once and not left to wait. As long as we are here the unit is not at rest, and systemd does not start it.
void pause_after_failure(const std::string& name, const std::vector<UniqueFd>& listeners) {
    auto starts = activation::read_starts(name);
    if (!starts)
        return print_warning(name, starts.error());
    if (ended_well() && !starts->last_failed && starts->bad_ends == 0)
        return;
    activation::add_end(*starts, ended_well(), boot_time());
    if (auto written = activation::write_starts(name, *starts); !written)
        print_warning(name, written.error());
    if (listeners.empty())
        return; // systemd's own limits are for those that nobody connects to
    const auto pause = activation::pause_before_next(*starts);
    std::vector<int> fds;
    if (activation::should_refuse(*starts))
        for (const UniqueFd& listener : listeners)
            fds.push_back(listener.get());
    if (pause.count() > 0 || !fds.empty())
        activation::refuse_clients(fds, pause);
}

/// Whoever was to read it may have been killed before. Before the word of its end, which it should come before.
void pass_on_last_words(const std::string& name) {
    const auto record = activation::read_record(name);
    if (!record || record->output == 0)
        return;
    if (auto pipe = activation::take_pipe_of(1, record->output))
        Output{std::move(*pipe)}.pass_on();
}

} // namespace

Result<void> clean(const std::string& name) {
    fault_point("clean-begun");
    pass_on_last_words(name);
    fault_point("clean-last-words-passed-on");
    tell_ended(name);
    fault_point("clean-end-told");
    leave_machined(name);
    fault_point("clean-machine-left");
    const auto listeners = take_listeners(name);
    // What came in while it ran is not what the next start is for.
    if (const auto record = activation::read_record(name); record && record->socket_cgroup != 0) [[maybe_unused]]
        auto first = activation::take_first(record->socket_cgroup);
    pause_after_failure(name, listeners);
    fault_point("clean-failure-counted");
    listen_again(name, listeners);
    fault_point("clean-listening");
    auto removed = activation::remove_record(name);
    fault_point("clean-record-removed");
    if (auto unmarked = activation::unmark_stop(name); removed)
        removed = std::move(unmarked);
    fault_point("clean-unmarked");
    if (auto released = release_image(name); !released)
        print_warning(name, released.error());
    if (auto files = remove_machine_files(name); !files)
        print_warning(name, files.error());
    if (auto files = remove_host_files(name); !files)
        print_warning(name, files.error());
    fault_point("clean-files-removed");
    const UnitCgroup cgroup = TRY(unit_cgroup(name));
    tell_oomd_kill(cgroup); // late: systemd may end us when it sees it, and removes what is left of the cgroup itself
    TRY_VOID(remove_payload_cgroup(cgroup));
    fault_point("clean-done");
    return removed;
}

} // namespace ctrd::run
