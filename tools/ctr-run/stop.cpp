// `ctr-run stop` (ExecStop=): after it systemd sends the stop signal to the payload, and SIGKILL when the time is up.
// PID 1 of a pid namespace never gets a signal that it neither catches nor blocks, so waiting for it to end by one is
// in vain: such a payload is killed at once.
#include "tools/ctr-run/commands.hpp"

#include "ctrd/activation/freezer.hpp"
#include "ctrd/activation/record.hpp"
#include "ctrd/activation/stop_mark.hpp"
#include "ctrd/base/deadline.hpp"
#include "ctrd/base/fault.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/hearing.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/runtime/cgroup.hpp"
#include "tools/ctr-run/declared.hpp"
#include "tools/ctr-run/unit.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <ctime>

namespace ctrd::run {
namespace {

using namespace std::chrono_literals;

/// A program sets its handlers when it has started, not before: within this time of its birth it is given the rest of
/// it. Dynamically linked servers take some 50 ms on a busy machine; what ends its first half second with a SIGKILL
/// has hardly anything to lose.
constexpr std::chrono::milliseconds settling_time = 500ms;

std::optional<pid_t> main_pid() {
    const char* text = std::getenv("MAINPID");
    pid_t pid = 0;
    if (text == nullptr || std::from_chars(text, text + std::char_traits<char>::length(text), pid).ec != std::errc{} ||
        pid <= 0)
        return std::nullopt;
    return pid;
}

Result<std::chrono::milliseconds> age_of(pid_t pid) {
    const std::uint64_t ticks = TRY(start_time(pid));
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    const auto born = std::chrono::milliseconds{ticks * 1000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK))};
    return std::chrono::milliseconds{now.tv_sec * 1000 + now.tv_nsec / 1'000'000} - born;
}

/// Nobody is connected, and ctrd has seen to it that nobody can be: what it would do with a signal would only be to
/// accept a connection that is lost with it.
Result<bool> is_idle_stop(const std::string& name, const UnitCgroup& cgroup) {
    return activation::is_stop_marked(name) && TRY(activation::is_frozen(cgroup.payload));
}

/// True as soon as the payload would hear the signal. Waits for it only while the payload is young.
Result<bool> hears(pid_t pid, int signal) {
    if (would_act_on(signal, TRY(read_hearing(pid))))
        return true;
    const auto age = TRY(age_of(pid));
    for (const Deadline grown_up{settling_time - age}; !grown_up.passed();) {
        ::poll(nullptr, 0, 10);
        if (would_act_on(signal, TRY(read_hearing(pid))))
            return true;
    }
    return false;
}

struct StopSignal {
    int number{SIGTERM};
    bool is_ours{false}; // to be sent: systemd was told another one before the image was there
};
/// A container that is no longer declared has the template's settings again.
StopSignal stop_signal(const std::string& name) {
    const auto declared = load_declaration(name);
    if (!declared || declared->init)
        return {};
    return {declared->stop_signal, declared->sends_stop_signal};
}

/// systemd's own would come right after us: the payload gets its time first, which is the unit's TimeoutStopSec=.
Result<void> send_and_wait(pid_t pid, int signal) {
    const UniqueFd pidfd = TRY(open_pidfd(pid));
    TRY_VOID(send_signal(pidfd.get(), signal));
    pollfd ended{pidfd.get(), POLLIN, 0};
    while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
    }
    return {};
}

bool is_gone(const Error& error) {
    return error.code == std::errc::no_such_file_or_directory || error.code == std::errc::no_such_process;
}

} // namespace

Result<void> stop(const std::string& name) {
    const auto pid = main_pid();
    if (!pid)
        return {}; // it has ended by itself
    const UnitCgroup cgroup = TRY(unit_cgroup(name));
    const auto idle = is_idle_stop(name, cgroup);
    fault_point("stop-begun");
    if (idle && *idle) {
        fault_point("stop-idle");
        return runtime::kill_cgroup(cgroup.payload_folder());
    }
    if (auto thawed = idle ? activation::thaw(cgroup.payload) : fail(idle.error()); !thawed)
        return is_gone(thawed.error()) ? Result<void>{} : thawed;
    fault_point("stop-thawed");
    // What waits for its first connection is ours: there is no program yet that could hear anything.
    if (auto record = activation::read_record(name); record && record->phase == "created") {
        record->phase = "stopped"; // its start, which still waits beside it, has not failed
        TRY_VOID(activation::write_record(*record));
        return runtime::kill_cgroup(cgroup.payload_folder());
    }
    const StopSignal signal = stop_signal(name);
    const auto heard = hears(*pid, signal.number);
    if (!heard)
        return is_gone(heard.error()) ? Result<void>{} : fail(heard.error());
    if (!*heard)
        return runtime::kill_cgroup(cgroup.payload_folder());
    const auto sent = signal.is_ours ? send_and_wait(*pid, signal.number) : Result<void>{};
    return !sent && is_gone(sent.error()) ? Result<void>{} : sent;
}

} // namespace ctrd::run
