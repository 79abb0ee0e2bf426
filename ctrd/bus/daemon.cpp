#include "ctrd/bus/daemon.hpp"

#include "ctrd/activation/late_bind.hpp"
#include "ctrd/activation/listen_fds.hpp"
#include "ctrd/activation/record.hpp"
#include "ctrd/activation/recover.hpp"
#include "ctrd/base/ctrd_socket.hpp"
#include "ctrd/base/fault.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/journal.hpp"
#include "ctrd/bus/bind_watch.hpp"
#include "ctrd/bus/container_object.hpp"
#include "ctrd/bus/declared_watch.hpp"
#include "ctrd/bus/handover.hpp"
#include "ctrd/bus/leftovers.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/machine_shells.hpp"
#include "ctrd/bus/machine_sockets.hpp"
#include "ctrd/bus/manager_object.hpp"
#include "ctrd/bus/outputs.hpp"
#include "ctrd/bus/scopes.hpp"
#include "ctrd/bus/standby.hpp"
#include "ctrd/bus/terminals.hpp"
#include "ctrd/bus/wake.hpp"
#include "machined-plugin/machines.hpp"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

namespace ctrd::bus {
namespace {

constexpr const char* compiled_folder = "/run/ctrd/compiled";
constexpr const char* bus_name = "io.ctrd1";
constexpr const char* handover_name = "handover"; // FileDescriptorName= of ctrd-handover.socket
constexpr std::uint64_t settling_time = 200'000;  // until a payload has listened on what it adopted

struct EventUnref {
    void operator()(sd_event* event) const noexcept { sd_event_unref(event); }
};
using EventLoop = std::unique_ptr<sd_event, EventUnref>;

/// What is written goes out first: answers to those who wait.
struct FlushAndClose {
    void operator()(sd_bus* bus) const noexcept { sd_bus_flush_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, FlushAndClose>;

class Daemon {
public:
    Daemon(EventLoop event, Bus bus) : event_{std::move(event)}, bus_{std::move(bus)} {}
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    Result<void> start();
    Result<void> run();

private:
    Result<void> take_descriptors();
    void recover_binds();
    Result<void> add_objects();
    void watch_registry();
    void on_units_loaded(Result<void> loaded);
    void recover_machines();
    void recover_terminals_and_outputs();
    void on_handover(const HandoverMessage& message, Handover::Descriptors descriptors);
    void on_ended(const std::string& name, UniqueFd asker);
    void store(const HandoverMessage& message, UniqueFd notify_fd);
    void restore_backlogs_soon(const std::string& name);
    void register_machine(const Container& container);
    void on_machine(const systemd::Machine& machine, const Result<void>& registered);
    void look_at_standby(const std::string& name);
    Result<void> await_stop();
    void prepare_end();
    static int on_stop(sd_event_source* source, const signalfd_siginfo* signal, void* userdata) noexcept;
    static int on_settled(sd_event_source* source, std::uint64_t time, void* userdata) noexcept;

    EventLoop event_;
    Bus bus_;
    BindWatch binds_{event_.get()};
    Handover handover_{
        event_.get(),
        [this](const auto& message, Handover::Descriptors descriptors) {
            on_handover(message, std::move(descriptors));
        },
        [this](const auto& name, UniqueFd asker) { on_ended(name, std::move(asker)); },
        [this](const auto& request, pid_t pid, UniqueFd asker) { scopes_.make(request, pid, std::move(asker)); }};
    Registry registry_{compiled_folder};
    Terminals terminals_{event_.get()};
    Outputs outputs_{event_.get()};
    MachineShells shells_{event_.get(), [this](const auto& name) { return leader_of(registry_.unit(name)); }};
    DeclaredWatch declared_{
        event_.get(),
        compiled_folder,
        {[this](const auto& name) { registry_.read_declared(name); }, [this] { registry_.read_all_declared(); }}};
    systemd::Units units_{bus_.get(),
                          {[this](const auto& name, const auto& facts) {
                               registry_.set_unit(name, facts);
                               look_at_standby(name);
                           },
                           [this](const auto& name) { registry_.unit_unloaded(name); },
                           [this](Result<void> loaded) { on_units_loaded(std::move(loaded)); }}};
    systemd::Machines machines_{bus_.get(),
                                [this](const auto& machine, const auto& result) { on_machine(machine, result); }};
    Scopes scopes_{event_.get(), units_};
    Callers callers_{bus_.get()};
    Authority authority_{bus_.get(), callers_};
    Executions executions_{event_.get()};
    Standby standby_{event_.get(), units_,
                     [this](const auto& name) { return executions_.any_in(name) || shells_.any_in(name); }};
    Actions actions_{registry_, units_, authority_, executions_, callers_, terminals_};
    std::vector<systemd::BusSlot> objects_{};
    std::map<std::string, pid_t> registered_{}; // container -> leader that machined was told of
    UniqueFd running_lock_{};
    Result<void> failure_{};
    bool announcing_{false}; // from the moment when the first picture is complete
    bool machined_missed_{false};
    bool ending_{false};
};

/// What systemd hands over: the hand-over socket, and the seccomp listeners that an earlier ctrd had stored.
Result<void> Daemon::take_descriptors() {
    for (auto& passed : TRY(activation::listen_fds_from_environment())) {
        if (passed.name == handover_name)
            TRY_VOID(handover_.listen(std::move(passed.fd)));
        else if (is_notify_fd(passed.fd.get()))
            binds_.add(std::move(passed.fd));
        else
            log_warning("systemd passed a descriptor '" + passed.name + "' that is nothing of ctrd's");
    }
    return {};
}

/// Before anything else is asked of anybody: payloads may be waiting in bind(2).
void Daemon::recover_binds() {
    auto found = activation::take_notify_fds_from(1);
    if (!found)
        return log_warning(std::move(found).context("cannot take seccomp listeners out of systemd's stores").error());
    for (auto& fd : *found)
        binds_.add(std::move(fd));
    if (binds_.size() == 0)
        return;
    std::error_code error;
    for (std::filesystem::directory_iterator at{"/run/ctrd/run", error}, end; !error && at != end;
         at.increment(error)) {
        const auto record = activation::read_record(at->path().stem().string());
        if (!record || record->leader == 0 ||
            std::ranges::none_of(record->sockets, [](const auto& socket) { return socket.deliver == "adopt"; }))
            continue;
        auto restarted = activation::restart_interrupted_calls(record->cgroup);
        if (!restarted && restarted.error().code != std::errc::no_such_file_or_directory)
            log_warning(std::move(restarted).context("container '" + record->name + "'").error());
    }
}

/// Their units keep them; nobody has to be told again which containers run.
void Daemon::recover_machines() {
    auto found = take_machine_sockets_from(1);
    if (!found)
        return log_warning(std::move(found).context("cannot take machine sockets out of systemd's stores").error());
    for (auto& socket : *found)
        shells_.add(std::move(socket));
}

void Daemon::recover_terminals_and_outputs() {
    std::vector<std::string> running;
    for (const auto& [name, container] : registry_.containers())
        if (leader_of(container.unit) != 0)
            running.push_back(name);
    terminals_.recover(1, running);
    outputs_.recover(1, running);
}

Result<void> Daemon::add_objects() {
    objects_.push_back(TRY(add_manager_object(bus_.get(), actions_)));
    objects_.push_back(TRY(add_container_objects(bus_.get(), actions_)));
    objects_.push_back(TRY(add_container_enumerator(bus_.get(), actions_)));
    return {};
}

void Daemon::watch_registry() {
    registry_.on_events(
        {[this](const Container& container) {
             if (announcing_)
                 announce_new(bus_.get(), container);
             if (announcing_ && container.declared)
                 log_event(event_id::declared, "declared", container.name, container.declared->source, "is declared");
             register_machine(container);
         },
         [this](const Container& container) {
             registered_.erase(container.name);
             actions_.changed(container);
             shells_.remove(container.name);
             terminals_.end(container.name);
             outputs_.end(container.name);
             remove_leftovers(container.name);
             if (announcing_)
                 announce_removed(bus_.get(), container);
             if (announcing_)
                 log_event(event_id::undeclared, "undeclared", container.name, "", "is not declared any more");
         },
         [this](const Container& container, Change change) {
             if (announcing_) {
                 announce_change(bus_.get(), container, change);
                 if (change.state)
                     announce_state(bus_.get(), container);
             }
             register_machine(container);
             actions_.changed(container);
         }});
}

Result<void> Daemon::start() {
    TRY_VOID(await_stop());
    TRY_VOID(take_descriptors());
    fault_point("ctrd-descriptors-taken");
    recover_binds();
    fault_point("ctrd-binds-recovered");
    TRY_VOID(make_dirs(compiled_folder, 0700));
    if (auto lock = hold_running_lock(); lock)
        running_lock_ = std::move(*lock);
    else
        log_warning(lock.error()); // who asks whether we run does without us
    watch_registry();
    registry_.ask_phase([this](const auto& name) { return standby_.phase_of(name); });
    standby_.on_phase([this](const auto& name) {
        if (const Container* container = announcing_ ? registry_.find(name) : nullptr)
            announce_change(bus_.get(), *container, {.state = false, .unit = true, .declared = false});
    });
    executions_.on_begin([this](const auto& name) { standby_.wake(name); });
    shells_.on_begin([this](const auto& name) { standby_.wake(name); });
    TRY_VOID(declared_.start()); // before the first look, so that nothing falls between
    registry_.read_all_declared();
    TRY_VOID(add_objects());
    return units_.watch();
}

/// Only with the whole picture may anybody call: the bus keeps the calls until the name is ours.
void Daemon::on_units_loaded(Result<void> loaded) {
    if (loaded) {
        announcing_ = true;
        fault_point("ctrd-units-loaded");
        recover_terminals_and_outputs();
        recover_machines(); // not before it is known which containers run
        if (const int r = sd_bus_request_name(bus_.get(), bus_name, 0); r < 0)
            loaded = fail(os_error(-r, "cannot take the bus name '" + std::string{bus_name} + "'",
                                   "does another ctrd run? is its D-Bus policy installed?"));
    }
    if (!loaded) {
        failure_ = std::move(loaded);
        sd_event_exit(event_.get(), 1);
        return;
    }
    fault_point("ctrd-named");
    actions_.recover_holds();
    for (const auto& name : find_leftovers())
        if (registry_.find(name) == nullptr)
            remove_leftovers(name);
    for (const auto& [name, container] : registry_.containers())
        standby_.recover(container);
    sd_notifyf(0, "READY=1\nSTATUS=%zu containers, answering the binds of %zu", registry_.containers().size(),
               binds_.size());
}

/// A unit whose first look is not complete yet is looked at with the others, when that is.
void Daemon::look_at_standby(const std::string& name) {
    if (const Container* container = announcing_ ? registry_.find(name) : nullptr)
        standby_.look_at(*container);
}

void Daemon::on_handover(const HandoverMessage& message, Handover::Descriptors descriptors) {
    fault_point("ctrd-handover-received");
    look_at_standby(message.name); // one that was only created runs now
    if (descriptors.machine)
        shells_.add(std::move(descriptors.machine));
    if (descriptors.terminal)
        terminals_.add(message.name, std::move(descriptors.terminal));
    if (descriptors.output)
        outputs_.add(message.name, message.leader, std::move(descriptors.output));
    if (descriptors.notify) // else its unit's state says the rest
        store(message, std::move(descriptors.notify));
}

/// Its unit is not at rest before ctr-run has our answer. Its leader is dead, so no registration can follow.
void Daemon::on_ended(const std::string& name, UniqueFd asker) {
    registered_.erase(name);
    machines_.remove(name, [asker = std::make_shared<UniqueFd>(std::move(asker))] {
        [[maybe_unused]] auto told = send_fds(asker->get(), "1", {});
    });
}

void Daemon::store(const HandoverMessage& message, UniqueFd notify_fd) {
    const int fd = notify_fd.get();
    // Stored before it is used: from here on it outlives us. Its unit has a copy in its own store, for the case that
    // ours is emptied (systemctl stop ctrd).
    const std::string state = "FDSTORE=1\nFDNAME=notify-" + message.name;
    if (const int r = sd_pid_notify_with_fds(0, 0, state.c_str(), &fd, 1); r < 0)
        log_warning(os_error(-r, "container '" + message.name + "': cannot store its seccomp listener"));
    fault_point("ctrd-listener-stored");
    binds_.add(std::move(notify_fd));
    restore_backlogs_soon(message.name);
}

struct Settling {
    std::string name{};
    EventSource timer{};
};

void Daemon::restore_backlogs_soon(const std::string& name) {
    auto settling = std::make_unique<Settling>(Settling{name, {}});
    sd_event_source* timer = nullptr;
    const int r =
        sd_event_add_time_relative(event_.get(), &timer, CLOCK_MONOTONIC, settling_time, 0, on_settled, settling.get());
    if (r < 0)
        return log_warning(os_error(-r, "container '" + name + "': cannot set a timer"));
    settling.release()->timer.reset(timer); // on_settled is its owner
}

int Daemon::on_settled(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    const std::unique_ptr<Settling> settling{static_cast<Settling*>(userdata)};
    auto restored = activation::restore_backlogs(settling->name);
    if (!restored && restored.error().code != std::errc::no_such_file_or_directory) // else it has ended
        log_warning(std::move(restored).context("container '" + settling->name + "'").error());
    return 0;
}

void Daemon::register_machine(const Container& container) {
    const pid_t leader = leader_of(container.unit);
    const std::string_view state = state_of(container.unit);
    if (!is_up(container.unit) || leader == 0) {
        registered_.erase(container.name);
        if (state == "stopped" || state == "failed") // while it starts, its socket may be here already
            shells_.remove(container.name);
        if (leader == 0 && state != "starting") { // as above
            terminals_.end(container.name);
            outputs_.end(container.name);
        }
        return;
    }
    if (const auto [at, fresh] = registered_.try_emplace(container.name, leader); !fresh && at->second == leader)
        return;
    fault_point("ctrd-before-registering");
    registered_[container.name] = leader;
    machines_.add(
        {container.name, container.unit.invocation, leader, container.declared ? container.declared->root : ""});
}

void Daemon::on_machine(const systemd::Machine& machine, const Result<void>& registered) {
    fault_point("ctrd-registered");
    if (registered || leader_of(registry_.unit(machine.name)) != machine.leader)
        return; // it has ended by now: no wonder that machined did not find it
    if (registered.error().code == std::errc::no_such_device_or_address) {
        if (!machined_missed_)
            log_info("systemd-machined is not installed: machinectl will not show the containers");
        machined_missed_ = true;
        return;
    }
    log_warning(Error{registered.error().code,
                      "container '" + machine.name + "' is not registered as a machine: " + registered.error().message,
                      ""});
}

Result<void> Daemon::run() {
    if (const int r = sd_event_loop(event_.get()); r != 0 && failure_)
        failure_ =
            fail(r < 0 ? os_error(-r, "the event loop failed")
                       : Error{std::errc::connection_reset, "lost the system bus", "it is started again by systemd"});
    announcing_ = false; // nobody hears it any more: who leaves the loop closes the bus
    prepare_end();
    return std::move(failure_);
}

void Daemon::prepare_end() {
    if (std::exchange(ending_, true))
        return;
    sd_notify(0, "STOPPING=1");
    standby_.wake_all();
}

/// While the bus is still there.
int Daemon::on_stop(sd_event_source*, const signalfd_siginfo*, void* userdata) noexcept {
    auto& daemon = *static_cast<Daemon*>(userdata);
    daemon.prepare_end();
    if (!daemon.announcing_ || daemon.shells_.any_open()) // before the first picture nobody knows
        leave_wake(daemon.bus_.get());
    return sd_event_exit(daemon.event_.get(), 0);
}

Result<void> Daemon::await_stop() {
    for (const int signal : {SIGTERM, SIGINT})
        if (const int r = sd_event_add_signal(event_.get(), nullptr, signal, on_stop, this); r < 0)
            return fail(os_error(-r, "cannot wait for signals"));
    return {};
}

/// SIGCHLD is waited for by sd-event, the other two by the daemon.
Result<EventLoop> make_event_loop() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT})
        ::sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    sd_event* raw = nullptr;
    const int r = sd_event_default(&raw);
    EventLoop event{raw};
    if (r < 0)
        return fail(os_error(-r, "cannot make an event loop"));
    return event;
}

Result<Bus> connect(sd_event* event) {
    sd_bus* raw = nullptr;
    int r = sd_bus_open_system_with_description(&raw, "ctrd");
    Bus bus{raw};
    if (r >= 0)
        r = sd_bus_set_exit_on_disconnect(raw, true);
    if (r >= 0)
        r = sd_bus_attach_event(raw, event, SD_EVENT_PRIORITY_NORMAL);
    if (r < 0)
        return fail(os_error(-r, "cannot reach the system bus"));
    return bus;
}

} // namespace

Result<void> run_daemon() {
    auto event = TRY(make_event_loop());
    auto bus = TRY(connect(event.get()));
    Daemon daemon{std::move(event), std::move(bus)};
    TRY_VOID(daemon.start());
    return daemon.run();
}

} // namespace ctrd::bus
