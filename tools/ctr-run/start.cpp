// `ctr-run start`: the order of the messages to systemd is what makes the payload its child in every respect, with its
// own exit status even when it ends at once (docs/architecture.md, "No shim"):
//
//     MAINPID=  BARRIER=1  go  (exec seen)  [declared binds answered]  READY=1 FDSTORE=1  [stragglers]  hand-over
#include "tools/ctr-run/commands.hpp"

#include "ctrd/activation/port_names.hpp"
#include "ctrd/activation/record.hpp"
#include "ctrd/activation/refuse.hpp"
#include "ctrd/activation/traffic.hpp"
#include "ctrd/base/fault.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/plan/plan.hpp"
#include "ctrd/runtime/capability_grants.hpp"
#include "ctrd/runtime/cgroup.hpp"
#include "ctrd/runtime/container.hpp"
#include "tools/ctr-run/events.hpp"
#include "tools/ctr-run/exec_stop.hpp"
#include "tools/ctr-run/fall_back.hpp"
#include "tools/ctr-run/handover.hpp"
#include "tools/ctr-run/host_files.hpp"
#include "tools/ctr-run/image.hpp"
#include "tools/ctr-run/init_program.hpp"
#include "tools/ctr-run/journal_link.hpp"
#include "tools/ctr-run/machine_files.hpp"
#include "tools/ctr-run/output.hpp"
#include "tools/ctr-run/ready.hpp"
#include "tools/ctr-run/stopwatch.hpp"
#include "tools/ctr-run/unit.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace ctrd::run {
namespace {

using namespace std::chrono_literals;
constexpr std::string_view stored_name = "+ctrd"; // FDNAME= of what we store; no declared socket can be called so

/// One start; what it has made is gone with it unless it was completed.
class Start {
public:
    Start(const std::string& name, const Notifier& manager) : name_{name}, manager_{manager} {}
    ~Start();
    Start(const Start&) = delete;
    Start& operator=(const Start&) = delete;

    Result<void> run();
    /// After a failure of run(): it is kept for those who ask later, and who waits for an answer is told.
    void account_for(const Error& error);

private:
    Result<void> prepare();
    void count_connections() const;
    Result<void> forget_stored(const std::vector<activation::ListenFd>& handed) const;
    Result<void> make_cgroup();
    void name_ports() const;
    Result<void> spawn();
    Result<void> run_payload(const Deadline& deadline);
    Result<void> keep_terminal();
    [[nodiscard]] Result<void> keep_output() const;
    Result<void> write_record(const char* phase) const;
    [[nodiscard]] std::vector<int> lasting() const;
    [[nodiscard]] std::vector<int> for_ctrd() const;
    Result<void> tell_ready() const;
    Result<void> stand_by();
    void complete();
    void keep_times();
    Result<Proxy> start_proxy(std::span<const Route> routes) const;
    [[nodiscard]] bool waits() const { return sockets_.any_adopted() || sockets_.any_proxied() || host_files_.ready; }
    void give_away();
    void finish_binds(BindPhase& binds);
    Result<void> await_ports(const Deadline& deadline);

    const std::string& name_;
    const Notifier& manager_;
    Declared declared_;
    Sockets sockets_;
    std::uint64_t socket_cgroup_{0};
    MachineFiles machine_;
    HostFiles host_files_;
    plan::Plan plan_;
    Stopwatch watch_;
    std::optional<UnitCgroup> cgroup_;
    std::optional<runtime::Container> container_;
    UniqueFd notify_fd_;
    std::optional<SocketPair> console_; // over which the child sends the master of its terminal
    UniqueFd terminal_;
    std::optional<Output> output_; // until it is ctrd's
    std::uint64_t terminal_device_{0};
    bool recorded_{false};
    bool completed_{false};
};

Start::~Start() {
    if (completed_)
        return;
    container_.reset(); // kills the payload
    if (output_)
        output_->pass_on();
    if (cgroup_)
        if (auto removed = remove_payload_cgroup(*cgroup_); !removed)
            print_warning(name_, removed.error());
}

/// While it waited for a connection: `ctrctl stop`, or a shutdown.
bool was_told_to_end(const std::string& name) {
    const auto record = activation::read_record(name);
    return record && record->phase == "stopped";
}

/// `clean`, which comes after us in any case, finds the listeners by the record, and removes it.
void Start::account_for(const Error& error) {
    if (auto added = keep_failure(name_, error); !added)
        print_warning(name_, added.error());
    if (completed_)
        return;
    if (!recorded_ && !sockets_.empty()) [[maybe_unused]]
        auto written = activation::write_record({name_, 0, 0, "", sockets_.recorded(), "failed", socket_cgroup_});
    activation::refuse_clients(sockets_.all(), 0ms);
}

/// A unit that is restarted keeps what it has stored: once more for each restart, if nobody takes it out.
Result<void> Start::forget_stored(const std::vector<activation::ListenFd>& handed) const {
    if (std::ranges::find(handed, stored_name, &activation::ListenFd::name) == handed.end())
        return {};
    return manager_.send("FDSTOREREMOVE=1\nFDNAME=" + std::string{stored_name});
}

Result<void> Start::prepare() {
    auto handed = TRY(activation::listen_fds_from_environment());
    TRY_VOID(forget_stored(handed));
    declared_ = TRY(load_and_use(name_, name_));
    fault_point("start-loaded");
    if (declared_.accepts)
        return fail(bad_input("it has a container for each connection (accept = true), and none of its own to start",
                              "connect to it; 'systemctl list-units \"ctr-" + name_ + "@*\"' lists those that run"));
    watch_.lap("read its configuration");
    const auto proxied = TRY(known_fall_backs(name_, declared_));
    sockets_ = TRY(Sockets::match(declared_.sockets, std::move(handed), proxied));
    socket_cgroup_ = TRY(sockets_.make_safe("ctr@" + name_ + ".socket"));
    count_connections();
    fault_point("start-sockets-guarded");
    watch_.lap("guard its sockets");
    plan::HostFacts host = TRY(rootfs_facts(declared_));
    machine_ = TRY(make_machine_files(name_, declared_.spec, declared_.machine_shell));
    const std::string machine_id = TRY(link_journal(declared_, host));
    host_files_ = TRY(make_host_files(name_, declared_.spec, declared_.systemd, declared_.notify, machine_id));
    if (host_files_.offer) // below what the machine's own are mounted on
        machine_.offers.insert(machine_.offers.begin(), *host_files_.offer);
    fault_point("start-machine-files-made");
    host.offers.insert(host.offers.end(), machine_.offers.begin(), machine_.offers.end());
    host.is_machine = true;
    plan_ = TRY(plan::make_plan(declared_.spec, host));
    for (const std::string& sentence :
         runtime::capabilities_not_granted(plan_.process.process, plan_.in_user_namespace))
        print_warning(name_, Error{std::errc::operation_not_permitted, sentence, ""});
    return {};
}

/// Without it all works but what needs to know whether the container is in use.
void Start::count_connections() const {
    if (socket_cgroup_ == 0)
        return;
    const auto cgroup = activation::open_cgroup(socket_cgroup_);
    const auto counting = cgroup ? activation::count_connections_of(*cgroup) : fail(cgroup.error());
    if (!counting)
        print_warning(name_, {counting.error().code, counting.error().message,
                              "without it the container is never taken for idle"});
}

Result<void> Start::make_cgroup() {
    UnitCgroup cgroup = TRY(unit_cgroup(name_));
    TRY_VOID(make_payload_cgroup(cgroup));
    fault_point("start-cgroup-made");
    cgroup_ = std::move(cgroup);
    if (const auto& uids = declared_.spec.uid_mappings; declared_.systemd && !uids.empty())
        TRY_VOID(delegate_payload_cgroup(*cgroup_, uids.front().host_id, declared_.spec.gid_mappings.front().host_id));
    TRY_VOID(runtime::apply_resources(cgroup_->payload_folder(), plan_.resources));
    if (!plan_.resources.devices.empty()) // else the unit's DevicePolicy= says enough
        TRY_VOID(runtime::limit_devices(cgroup_->payload_folder(), plan_.resources.devices));
    watch_.lap("plan it, make its cgroup");
    return {};
}

/// Without it all works but programs that compare what they have bound with what they are told.
void Start::name_ports() const {
    const auto names = sockets_.port_names();
    if (names.empty() || socket_cgroup_ == 0)
        return;
    const auto cgroup = activation::open_cgroup(socket_cgroup_);
    const auto named =
        cgroup ? activation::name_ports(*cgroup, cgroup_->payload_folder(), names) : fail(cgroup.error());
    if (!named)
        print_warning(name_, {named.error().code, named.error().message,
                              "getsockname(2) tells the payload the ports of the host; the same ones on both sides "
                              "make no difference"});
}

Result<void> Start::spawn() {
    runtime::SpawnOptions options;
    options.cgroup = cgroup_->payload_folder();
    options.as_sibling = true;
    options.pass_fds = sockets_.passed();
    if (sockets_.any_passed())
        options.listen_fdnames = sockets_.passed_names();
    options.intercept_bind = sockets_.any_adopted();
    options.state = {name_, declared_.spec.version, declared_.folder, declared_.spec.annotations};
    if (declared_.waits_created)
        ::malloc_trim(0); // what is free now would be the child's, too, for as long as it waits
    UniqueFd init;
    if (declared_.init) {
        init = TRY(open_init());
        options.init = init.get();
        options.init_args = init_arguments(declared_);
    }
    if (plan_.process.process.terminal) {
        console_ = TRY(make_socket_pair());
        options.console_socket = console_->theirs.get();
    }
    if (declared_.pipes_output) {
        output_ = TRY(Output::make());
        options.output = output_->payloads_end();
    }
    container_ = TRY(runtime::Container::spawn(plan_, options));
    if (output_)
        output_->close_payloads_end();
    fault_point("start-cloned");
    watch_.lap("open its files, clone its first process");
    return {};
}

Result<void> Start::write_record(const char* phase) const {
    const std::uint64_t started = TRY(start_time(container_->pid()));
    return activation::write_record({name_, container_->pid(), started, cgroup_->payload, sockets_.recorded(), phase,
                                     socket_cgroup_, terminal_device_, output_ ? output_->inode() : 0});
}

/// Its master lives as long as the unit, in the unit's own store. The poll would take it out of there whenever no
/// process of the container has the other end open, which may be again in the next moment.
Result<void> Start::keep_terminal() {
    if (!console_)
        return {};
    auto message = TRY(receive_fds(console_->ours.get(), 4096, MSG_DONTWAIT).context("the container's terminal"));
    struct stat st {};
    if (message.fds.size() != 1 || ::fstat(message.fds.front().get(), &st) < 0)
        return fail(bad_input("the container's terminal did not come"));
    terminal_ = std::move(message.fds.front());
    terminal_device_ = st.st_dev;
    console_.reset();
    const int fd = terminal_.get();
    TRY_VOID(manager_.send("FDSTORE=1\nFDPOLL=0\nFDNAME=" + std::string{stored_name}, {&fd, 1}));
    return write_record("running");
}

/// The descriptors that are ctrd's from READY on, but for those that keep_terminal() and keep_output() have stored.
std::vector<int> Start::lasting() const {
    std::vector<int> fds;
    for (const UniqueFd* fd : {&notify_fd_, &machine_.socket})
        if (*fd)
            fds.push_back(fd->get());
    return fds;
}

/// And those.
std::vector<int> Start::for_ctrd() const {
    auto fds = lasting();
    if (terminal_)
        fds.push_back(terminal_.get());
    if (output_)
        fds.push_back(output_->fd());
    return fds;
}

/// As the terminal: it may come to have no writer for a while.
Result<void> Start::keep_output() const {
    if (!output_)
        return {};
    const int fd = output_->fd();
    return manager_.send("FDSTORE=1\nFDPOLL=0\nFDNAME=" + std::string{stored_name}, {&fd, 1});
}

/// With all that lasts for the unit's own store: there it is safe from whatever happens to ctrd.
Result<void> Start::tell_ready() const {
    const std::string ready = "READY=1\nSTATUS=Running";
    const auto fds = lasting();
    return fds.empty() ? manager_.send(ready)
                       : manager_.send(ready + "\nFDSTORE=1\nFDNAME=" + std::string{stored_name}, fds);
}

/// standby = "created": all is done but the last steps to the program, before which the child waits for us. That is
/// what the unit was asked for, so it is ready; nothing else is needed for the rest, neither systemd nor ctrd.
Result<void> Start::stand_by() {
    const std::string ready = "READY=1\nSTATUS=Created; starts when somebody connects";
    if (machine_.socket) {
        // It is a machine already, and machined waits for an answer at that socket with all that others ask of it.
        const int fd = machine_.socket.get();
        TRY_VOID(manager_.send(ready + "\nFDSTORE=1\nFDNAME=" + std::string{stored_name}, {&fd, 1}));
        [[maybe_unused]] auto handed = hand_over(name_, container_->pid(), {&fd, 1});
    } else {
        TRY_VOID(manager_.send(ready));
    }
    fault_point("start-created");
    TRY_VOID(sockets_.await_connection(container_->pidfd()));
    fault_point("start-connected");
    watch_.restart("ctr-run, which waits, sees the connection");
    return write_record("running");
}

/// READY was said: from here on nothing may fail the start, or undo it.
void Start::complete() {
    completed_ = true;
    container_->release();
    watch_.lap("tell systemd that it is ready");
    tell_started(name_, container_->pid()); // a journal that is busy makes nobody wait but us
    if (!notify_fd_)
        give_away();
}

/// What ctrd has to know it also hears from systemd, and takes out of the unit's store.
void Start::give_away() {
    auto handed = hand_over(name_, container_->pid(), for_ctrd());
    if (!handed && notify_fd_)
        print_warning(name_, handed.error());
    if (!handed && output_)
        output_->pass_on(); // what came before there was nobody
    output_.reset();
}

void Start::keep_times() {
    if (auto kept = keep_success(name_, watch_, socket_cgroup_); !kept)
        print_warning(name_, kept.error());
}

/// ctrd gets the notification descriptor only when we have ceased to read from it.
void Start::finish_binds(BindPhase& binds) {
    if (!binds.answer_stragglers()) {
        if (output_)
            output_->pass_on();
        return;
    }
    if (const auto port = binds.mixed_families())
        print_warning(name_,
                      Error{std::errc::address_family_not_supported,
                            "the payload bound port " + std::to_string(*port) +
                                " for IPv4 only, and its listening socket is an IPv6 one",
                            "some programs refuse IPv6 clients then; listen = \"0.0.0.0:PORT\" gives them IPv4 ones"});
    sockets_.restore_backlogs();
    fault_point("start-binds-finished");
    give_away();
}

/// Until its exec. Without a port to wait for that is READY, said before the payload's first instruction.
Result<void> Start::run_payload(const Deadline& deadline) {
    const ExecStop stop{container_->pid()};
    TRY_VOID(container_->go(std::chrono::milliseconds{deadline.poll_timeout()}));
    notify_fd_ = container_->take_notify_fd();
    stop.wait();
    fault_point("start-executed");
    TRY_VOID(keep_terminal());
    TRY_VOID(keep_output());
    watch_.lap("its own set-up ends, exec");
    return waits() ? Result<void>{} : tell_ready();
}

Result<void> Start::run() {
    TRY_VOID(prepare());
    TRY_VOID(make_cgroup());
    name_ports();
    TRY_VOID(spawn());
    // Before the payload can end: what `clean` would have removed must not be written after it.
    recorded_ = true;
    TRY_VOID(write_record(declared_.waits_created ? "created" : "running"));
    fault_point("start-recorded");
    TRY_VOID(tell_main_pid(manager_, container_->pid(), declared_.ready_timeout));
    fault_point("start-main-pid-told");
    watch_.lap("tell systemd its first process");
    if (declared_.waits_created)
        TRY_VOID(stand_by());
    const Deadline deadline{declared_.ready_timeout};
    TRY_VOID(run_payload(deadline));
    if (waits())
        return await_ports(deadline);
    complete();
    keep_times();
    return {};
}

Result<void> Start::await_ports(const Deadline& deadline) {
    const auto routes = sockets_.proxied();
    std::optional<Proxy> proxy;
    if (!routes.empty())
        proxy = TRY(start_proxy(routes));
    BindPhase binds{sockets_, notify_fd_.get(), container_->pidfd(), proxy ? &*proxy : nullptr,
                    [this](std::span<const Route> late) { return start_proxy(late); }};
    if (host_files_.ready)
        binds.await_word(&*host_files_.ready);
    if (output_)
        binds.read_output(&*output_);
    TRY_VOID(binds.await_declared(deadline));
    fault_point("start-bound");
    watch_.lap("the program starts and is ready");
    if (sockets_.any_fallen_back())
        TRY_VOID(write_record("running")); // who reads it must know what has become of them
    TRY_VOID(tell_ready());
    fault_point("start-ready-told");
    complete();
    fault_point("start-completed");
    keep_fall_backs(name_, declared_, sockets_.fallen_back());
    if (notify_fd_)
        finish_binds(binds);
    fault_point("start-handed-over");
    keep_times();
    return {};
}

Result<Proxy> Start::start_proxy(std::span<const Route> routes) const {
    return Proxy::start(name_, {container_->pid(), container_->pidfd(), cgroup_->payload_folder()}, routes,
                        declared_.ready_timeout);
}

} // namespace

Result<void> start(const std::string& name, const Notifier& manager) {
    Start one{name, manager};
    auto done = one.run();
    if (!done && was_told_to_end(name))
        return {};
    // Before the clean-up in the destructor: systemd may kill us as soon as it knows that the payload is gone.
    if (!done) {
        print_error(name, done.error());
        one.account_for(done.error());
    }
    return done;
}

} // namespace ctrd::run
