#include "ctrd/bus/standby.hpp"

#include "ctrd/activation/freezer.hpp"
#include "ctrd/activation/late_bind.hpp"
#include "ctrd/activation/listener.hpp"
#include "ctrd/activation/stop_mark.hpp"
#include "ctrd/activation/traffic.hpp"
#include "ctrd/activation/unix_traffic.hpp"
#include "ctrd/base/fault.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/bus/log.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ctime>

namespace ctrd::bus {
namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;

constexpr auto freeze_timeout = 200ms;
constexpr microseconds shortest_pause = 50ms;
constexpr microseconds longest_pause = 15s;
constexpr microseconds first_sleep = 1s;           // a frozen one that nobody has asked yet: time to settle
constexpr std::uint64_t most_to_reclaim = 1 << 30; // asked for at a time

microseconds now(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return microseconds{time.tv_sec * 1'000'000 + time.tv_nsec / 1000};
}

/// CLOCK_MONOTONIC.
microseconds birth_of(const activation::RunRecord& record) {
    const microseconds since_boot{record.leader_start * 1'000'000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK))};
    return now(CLOCK_MONOTONIC) - (now(CLOCK_BOOTTIME) - since_boot);
}

/// The processor time that the cgroup has used.
Result<microseconds> cpu_time_of(const std::string& cgroup) {
    const std::string path = TRY(cgroup_mount()) + cgroup + "/cpu.stat";
    const std::string text = TRY(read_file(path));
    constexpr std::string_view key = "usage_usec ";
    const std::size_t at = text.find(key);
    std::uint64_t value = 0;
    if (at == std::string::npos ||
        std::from_chars(text.data() + at + key.size(), text.data() + text.size(), value).ec != std::errc{})
        return fail(os_error(EPROTO, "cannot read cpu.stat"));
    return microseconds{value};
}

/// What it had at its start and will not need while it sleeps goes to swap or back to its files.
void reclaim(const std::string& cgroup) {
    const auto mount = cgroup_mount();
    if (!mount)
        return;
    // The kernel answers EAGAIN where it could not get all that it was asked for, which is more than there is.
    auto written = write_control(*mount + cgroup + "/memory.reclaim", std::to_string(most_to_reclaim));
    if (!written && written.error().code != std::errc::resource_unavailable_try_again)
        log_debug(written.error().message);
}

/// What is not known counts as one: nobody must be left with a server that sleeps.
bool has_clients(const activation::RunRecord& record) {
    const auto open = activation::open_connections(record);
    return !open || open->accepted > 0;
}

bool is_gone(const Error& error) {
    return error.code == std::errc::no_such_file_or_directory || error.code == std::errc::no_such_device;
}

} // namespace

struct Standby::Usage {
    bool busy{false};
    microseconds last_event{0}; // CLOCK_MONOTONIC
};

struct Standby::Watch {
    struct Listener {
        UniqueFd fd{};
        EventSource source{};
    };

    Standby* owner{nullptr};
    std::string name{};
    StandbyPolicy policy{};
    activation::RunRecord record{};
    microseconds birth{0};
    EventSource timer{};
    bool stopping{false};
    bool asleep{false};
    std::vector<Listener> listeners{}; // of one that is asleep: kept no longer, or they would outlive their unit
    std::uint64_t connections{0};      // that had come at the last look
    microseconds last_busy{0};         // CLOCK_MONOTONIC; of sockets with a path: nobody counts who comes to them
    microseconds cpu_time{0};          // at the last look, and when that was
    microseconds cpu_time_at{0};

    /// Sockets with a path, whose connections can be seen only while they are there.
    [[nodiscard]] bool can_tell() const { return record.socket_cgroup != 0 || has_paths(); }
    [[nodiscard]] bool has_paths() const { return std::ranges::any_of(record.sockets, activation::is_unix_stream); }

    void warn(Error error) const {
        if (is_gone(error))
            return; // it is about to end
        error.message = "container '" + name + "': " + error.message;
        log_warning(error);
    }
};

Standby::Standby(sd_event* event, systemd::Units& units, IsUsed is_used)
    : event_{event}, units_{units}, is_used_{std::move(is_used)} {}
Standby::~Standby() = default;

void Standby::look_at(const Container& container) {
    const bool running = std::string_view{state_of(container.unit)} == "running" && leader_of(container.unit) != 0;
    const auto at = watches_.find(container.name);
    if (!running || !container.declared || !container.declared->standby) {
        if (at != watches_.end() && running && at->second->asleep)
            wake(*at->second); // it is no longer declared to sleep
        if (at != watches_.end())
            watches_.erase(at);
        return;
    }
    if (at == watches_.end() || at->second->record.leader != leader_of(container.unit) ||
        at->second->record.phase == "created" || at->second->policy != *container.declared->standby)
        begin(container);
}

void Standby::recover(const Container& container) {
    look_at(container);
    if (watches_.contains(container.name) || activation::is_stop_marked(container.name))
        return;
    const auto record = activation::read_record(container.name);
    if (!record || record->leader == 0)
        return;
    const auto frozen = activation::is_frozen(record->cgroup);
    auto thawed = frozen && *frozen ? activation::thaw(record->cgroup) : Result<void>{};
    if (!thawed && !is_gone(thawed.error()))
        log_warning(std::move(thawed).context("container '" + container.name + "'").error());
}

void Standby::begin(const Container& container) {
    if (phase_of(container.name) == "frozen" && container.declared->standby->mode != "frozen")
        wake(container.name);
    watches_.erase(container.name);
    auto record = activation::read_record(container.name);
    if (!record || record->leader != leader_of(container.unit))
        return; // it has ended, or is another by now: systemd will say so
    auto& watch = *(watches_[container.name] = std::make_unique<Watch>());
    watch.owner = this;
    watch.name = container.name;
    watch.policy = *container.declared->standby;
    watch.record = std::move(*record);
    watch.birth = birth_of(watch.record);
    const auto frozen = activation::is_frozen(watch.record.cgroup);
    if (!frozen)
        return watch.warn(frozen.error());
    if (watch.record.phase == "created") { // ctr-run waits for its connection, and will tell us
        if (*frozen)
            wake(watch);
        return;
    }
    // A stop that was prepared and never asked for: its ctrd was killed in between.
    if (activation::is_stop_marked(watch.name)) {
        if (container.unit.job != 0) {
            watches_.erase(container.name); // it was asked for; looked at again when that job is over
            return;
        }
        wake(watch);
    } else if (*frozen && (watch.policy.mode != "frozen" || has_clients(watch.record))) {
        wake(watch); // its ctrd was killed just when it let interrupted calls start again, or before its second look
    } else if (*frozen) {
        watch.asleep = true;
        if (auto waits = await_connection(watch); !waits) {
            watch.warn(waits.error());
            wake(watch);
        }
    }
    check(watch);
}

void Standby::arm(Watch& watch, microseconds delay) {
    sd_event_source* timer = nullptr;
    const auto accuracy = static_cast<std::uint64_t>(std::clamp<microseconds>(delay / 20, 1ms, 1s).count());
    const int r = sd_event_add_time_relative(event_, &timer, CLOCK_MONOTONIC, static_cast<std::uint64_t>(delay.count()),
                                             accuracy, on_timer, &watch);
    if (r < 0)
        return watch.warn(os_error(-r, "cannot set a timer"));
    watch.timer.reset(timer);
}

/// Somebody is connected: how soon after his leaving it should be noticed is a question of what it costs to look.
void Standby::look_again_later(Watch& watch) {
    const microseconds timeout = watch.policy.idle_timeout == 0ms ? longest_pause : watch.policy.idle_timeout;
    arm(watch, std::clamp<microseconds>(timeout / 4, shortest_pause, longest_pause));
}

int Standby::on_timer(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    auto& watch = *static_cast<Watch*>(userdata);
    watch.owner->check(watch);
    return 0;
}

Result<Standby::Usage> Standby::usage_of(Watch& watch) const {
    Usage usage;
    usage.last_event = std::max(watch.birth, watch.last_busy);
    if (watch.record.socket_cgroup != 0) {
        const auto counted = TRY(activation::counted(watch.record.socket_cgroup));
        usage.last_event = std::max(usage.last_event, microseconds{counted.last_event / 1000});
        watch.connections = counted.connections;
    }
    const auto open = TRY(activation::open_connections(watch.record));
    if (open.closed > 0) {
        log_warning("container '" + watch.name + "': its payload has shut a listening socket down; it listens again");
        TRY_VOID(activation::restore_backlogs(watch.name));
    }
    usage.busy = open.accepted + open.queued > 0 || is_used_(watch.name);
    if (watch.policy.idle_cpu_permille != 0) {
        const microseconds used = TRY(cpu_time_of(watch.record.cgroup));
        const microseconds time = now(CLOCK_MONOTONIC);
        const microseconds allowed = (time - watch.cpu_time_at) * watch.policy.idle_cpu_permille / 1000;
        // The first look has nothing to compare with.
        usage.busy = usage.busy || watch.cpu_time_at == 0us || used - watch.cpu_time > allowed;
        watch.cpu_time = used;
        watch.cpu_time_at = time;
    }
    if (usage.busy && watch.has_paths())
        watch.last_busy = now(CLOCK_MONOTONIC);
    return usage;
}

/// Decides what is to be done now, and when to look again.
void Standby::check(Watch& watch) {
    if (watch.stopping)
        return;
    const auto& policy = watch.policy;
    const microseconds time = now(CLOCK_MONOTONIC);
    const microseconds age = time - watch.birth;
    const bool too_old = policy.max_lifetime != 0ms && age >= policy.max_lifetime;
    if (watch.asleep) {
        if (too_old)
            stop_losslessly(watch);
        else if (policy.max_lifetime != 0ms)
            arm(watch, policy.max_lifetime - age + 1ms);
        return;
    }
    if (too_old && age >= policy.max_lifetime + policy.max_lifetime / 10)
        return end_run(watch, policy.always_there);
    const auto usage = watch.can_tell() ? usage_of(watch) : Result<Usage>{};
    if (!usage) {
        watch.warn(usage.error());
        return look_again_later(watch);
    }
    if (usage->busy)
        return look_again_later(watch);
    if (too_old)
        return !watch.can_tell() || policy.graceful ? end_run(watch, policy.always_there) : stop_losslessly(watch);
    const bool fresh = policy.mode == "frozen" && usage->last_event <= watch.birth;
    microseconds due = microseconds::max();
    if (policy.idle_timeout != 0ms)
        due = usage->last_event + policy.idle_timeout;
    if (fresh)
        due = std::min(due, usage->last_event + first_sleep);
    if (time >= due)
        return go_to_standby(watch);
    if (policy.max_lifetime != 0ms)
        due = std::min(due, watch.birth + policy.max_lifetime);
    if ((policy.idle_cpu_permille != 0 || watch.has_paths()) && due != microseconds::max())
        due = std::min(due, time + std::clamp<microseconds>(policy.idle_timeout / 4, shortest_pause, longest_pause));
    if (due != microseconds::max())
        arm(watch, due - time + 1ms);
}

void Standby::go_to_standby(Watch& watch) {
    if (watch.policy.mode == "frozen")
        return fall_asleep(watch);
    if (watch.policy.graceful)
        return end_run(watch, false);
    stop_losslessly(watch);
}

/// Who came since the last look: a datagram that the payload has read leaves no other trace.
Result<bool> Standby::has_come(const Watch& watch) const {
    return watch.record.socket_cgroup != 0 &&
           TRY(activation::counted(watch.record.socket_cgroup)).connections != watch.connections;
}

/// False: somebody has come in the last moment, and it runs again.
Result<bool> Standby::stand_still(Watch& watch) {
    const std::string& cgroup = watch.record.cgroup;
    auto frozen = activation::freeze(cgroup, freeze_timeout);
    fault_point("ctrd-frozen");
    // What is accepted now was so before, and what comes waits in the queue: nobody is left who could accept it.
    const auto open = frozen ? activation::open_connections(watch.record) : fail(frozen.error());
    const auto come = open ? has_come(watch) : fail(open.error());
    if (come && !*come && open->accepted + open->queued == 0)
        return true;
    TRY_VOID(activation::thaw(cgroup));
    if (!come)
        return fail(come.error());
    return false;
}

/// Frozen, looked at once more, and only then stopped: from the look on nothing can be accepted, and the queue stays
/// with systemd for the next start.
void Standby::stop_losslessly(Watch& watch) {
    auto marked = activation::mark_stop(watch.name);
    fault_point("ctrd-stop-marked");
    const auto still = marked ? stand_still(watch) : fail(marked.error());
    const bool renew = watch.policy.always_there && watch.policy.max_lifetime != 0ms &&
                       now(CLOCK_MONOTONIC) - watch.birth >= watch.policy.max_lifetime;
    if (still && *still)
        return end_run(watch, renew);
    if (!still)
        watch.warn(still.error());
    if (auto unmarked = activation::unmark_stop(watch.name); !unmarked)
        watch.warn(unmarked.error());
    look_again_later(watch);
}

/// The job: `ctr-run stop` sees from the mark what kind of a stop it is.
void Standby::end_run(Watch& watch, bool renew) {
    watch.stopping = true;
    const auto end = [this, name = watch.name, leader = watch.record.leader](const Result<std::string>& job) {
        const auto at = watches_.find(name);
        if (at == watches_.end() || at->second->record.leader != leader)
            return; // it has ended
        if (!job)
            at->second->warn(job.error());
        at->second->stopping = false;
        wake(*at->second);
        look_again_later(*at->second);
    };
    if (watch.policy.mode != "stopped" || renew)
        units_.restart_unasked(watch.name, end);
    else
        units_.stop_unasked(watch.name, end);
    fault_point("ctrd-stop-asked");
}

void Standby::fall_asleep(Watch& watch) {
    const auto still = stand_still(watch);
    if (!still)
        watch.warn(still.error());
    if (!still || !*still)
        return look_again_later(watch);
    watch.asleep = true;
    if (auto waits = await_connection(watch); !waits) {
        watch.warn(waits.error());
        wake(watch);
        return look_again_later(watch);
    }
    if (watch.policy.reclaim_memory)
        reclaim(watch.record.cgroup);
    if (phase_changed_)
        phase_changed_(watch.name);
    check(watch);
}

Result<void> Standby::await_connection(Watch& watch) {
    for (const auto& socket : watch.record.sockets) {
        auto& listener = watch.listeners.emplace_back();
        listener.fd = TRY(activation::take_listener(socket.inode, watch.record.cgroup));
        sd_event_source* source = nullptr;
        if (const int r = sd_event_add_io(event_, &source, listener.fd.get(), EPOLLIN, on_connection, &watch); r < 0)
            return fail(os_error(-r, "cannot wait for its connections"));
        listener.source.reset(source);
        sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT);
    }
    return {};
}

int Standby::on_connection(sd_event_source*, int, std::uint32_t, void* userdata) noexcept {
    auto& watch = *static_cast<Watch*>(userdata);
    watch.owner->wake(watch);
    watch.owner->look_again_later(watch);
    return 0;
}

/// Also one that only stands still for its stop.
void Standby::wake(Watch& watch) {
    const bool was_asleep = std::exchange(watch.asleep, false);
    if (auto thawed = activation::thaw(watch.record.cgroup); !thawed)
        watch.warn(thawed.error());
    if (auto unmarked = activation::unmark_stop(watch.name); !unmarked)
        watch.warn(unmarked.error());
    watch.listeners.clear();
    if (was_asleep && phase_changed_)
        phase_changed_(watch.name);
}

void Standby::wake(const std::string& name) {
    const auto at = watches_.find(name);
    if (at == watches_.end() || !at->second->asleep)
        return;
    wake(*at->second);
    look_again_later(*at->second);
}

void Standby::wake_all() {
    for (const auto& [name, watch] : watches_)
        if (watch->asleep)
            wake(*watch);
}

std::string Standby::phase_of(const std::string& name) const {
    const auto at = watches_.find(name);
    if (at == watches_.end())
        return {};
    return at->second->asleep ? "frozen" : at->second->record.phase == "created" ? "created" : "";
}

} // namespace ctrd::bus
