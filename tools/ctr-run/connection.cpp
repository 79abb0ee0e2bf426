#include "tools/ctr-run/connection.hpp"

#include "ctrd/activation/guard.hpp"
#include "ctrd/activation/listen_fds.hpp"
#include "ctrd/activation/listener.hpp"
#include "ctrd/base/deadline.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/plan/plan.hpp"
#include "ctrd/runtime/cgroup.hpp"
#include "ctrd/runtime/container.hpp"
#include "tools/ctr-run/commands.hpp"
#include "tools/ctr-run/exec_stop.hpp"
#include "tools/ctr-run/image.hpp"
#include "tools/ctr-run/init_program.hpp"
#include "tools/ctr-run/pool_listeners.hpp"
#include "tools/ctr-run/stopwatch.hpp"
#include "tools/ctr-run/unit.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace ctrd::run {
namespace {

constexpr const char* connection_name = "connection"; // in LISTEN_FDNAMES, as systemd has it
constexpr const char* pool_program = CTRD_LIBEXECDIR "/ctr-pool";

/// What notes of this run are called: several run at once, and each has its own invocation.
std::string run_key(const std::string& name) {
    const char* id = std::getenv("INVOCATION_ID");
    return name + "@" + (id == nullptr ? std::to_string(::getpid()) : std::string{id});
}

bool is_connection(int fd) {
    const auto facts = activation::look_at(fd);
    return facts && facts->type == SOCK_STREAM && !facts->listening;
}

class Connection {
public:
    Connection(const std::string& name, const Notifier& manager, bool waits)
        : name_{name}, manager_{manager}, waits_{waits} {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection();

    Result<void> run();
    /// With a warm pool: whether another one has to be made, and wait.
    [[nodiscard]] bool was_taken() const { return waits_ && completed_; }
    [[noreturn]] void become_filler() const;
    /// The client is told at once, by a reset: an end of file would look like an answer.
    void refuse() const;

private:
    Result<void> prepare();
    Result<void> take_connection();
    Result<void> spawn();
    Result<void> run_payload();
    Result<void> stand_by();
    Result<void> run_for(UniqueFd connection);
    [[nodiscard]] bool is_passed() const;
    void keep_times();
    [[nodiscard]] int fd() const { return passed_ ? passed_.get() : STDIN_FILENO; }

    const std::string& name_;
    const Notifier& manager_;
    bool waits_;
    Stopwatch watch_;
    Declared declared_;
    PoolListeners listeners_; // of a warm pool
    UniqueFd passed_;         // deliver = "pass"; else it is our standard input, and the payload's
    plan::Plan plan_;
    std::optional<UnitCgroup> cgroup_;
    std::optional<runtime::Container> container_;
    bool completed_{false};
};

Connection::~Connection() {
    if (completed_)
        return;
    container_.reset(); // kills the payload
    if (cgroup_)
        if (auto removed = remove_payload_cgroup(*cgroup_); !removed)
            print_warning(name_, removed.error());
}

void Connection::refuse() const {
    if (waits_ && !passed_)
        listeners_.refuse_all();
    const linger at_once{1, 0};
    if (is_connection(fd())) [[maybe_unused]]
        auto set = ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

Result<void> Connection::take_connection() {
    auto handed = TRY(activation::listen_fds_from_environment());
    if (!handed.empty())
        passed_ = std::move(handed.front().fd);
    if (handed.size() > 1 || !is_connection(fd()))
        return fail(bad_input("no connection was handed over by the service manager",
                              "connections start it: its socket unit is 'ctr-" + name_ + ".socket'"));
    const int one = fd();
    TRY(activation::guard_listeners({&one, 1}, "ctr-" + name_ + ".socket"));
    return {};
}

/// Who is connected, as systemd tells it to services of this kind.
void add_peer(std::vector<std::string>& environment) {
    for (const char* variable : {"REMOTE_ADDR", "REMOTE_PORT"})
        if (const char* value = std::getenv(variable); value != nullptr)
            environment.push_back(std::string{variable} + "=" + value);
}

Result<void> Connection::prepare() {
    TRY_VOID(waits_ ? listeners_.take(name_) : take_connection());
    watch_.lap(waits_ ? "guard its sockets" : "guard its connection");
    declared_ = TRY(load_and_use(name_, run_key(name_)));
    if (!declared_.accepts || waits_ != (declared_.warm_pool > 0))
        return fail(bad_input("it is not declared to have a container for each connection" +
                                  std::string{waits_ ? ", made before (warm-pool)" : " (accept = true)"},
                              "'ctrctl apply' brings units and declarations together"));
    watch_.lap("read its configuration");
    if (declared_.spec.process && !waits_)
        add_peer(declared_.spec.process->env);
    const plan::HostFacts host = TRY(rootfs_facts(declared_));
    plan_ = TRY(plan::make_plan(declared_.spec, host));
    UnitCgroup cgroup = TRY(unit_cgroup(name_));
    TRY_VOID(make_payload_cgroup(cgroup));
    cgroup_ = std::move(cgroup);
    TRY_VOID(runtime::apply_resources(cgroup_->payload_folder(), plan_.resources));
    if (!plan_.resources.devices.empty())
        TRY_VOID(runtime::limit_devices(cgroup_->payload_folder(), plan_.resources.devices));
    watch_.lap("plan it, make its cgroup");
    return {};
}

bool Connection::is_passed() const {
    return waits_ ? declared_.sockets.front().deliver == Deliver::pass : static_cast<bool>(passed_);
}

Result<void> Connection::spawn() {
    runtime::SpawnOptions options;
    options.cgroup = cgroup_->payload_folder();
    options.as_sibling = true;
    if (passed_)
        options.pass_fds = {passed_.get()};
    if (is_passed())
        options.listen_fdnames = connection_name;
    if (waits_) {
        options.takes_connection = is_passed() ? runtime::TakesConnection::passed : runtime::TakesConnection::stdio;
        ::malloc_trim(0); // what is free now would be the child's, too, for as long as it waits
    }
    options.state = {name_, declared_.spec.version, declared_.folder, declared_.spec.annotations};
    UniqueFd init;
    if (declared_.init) {
        init = TRY(open_init());
        options.init = init.get();
        options.init_args = init_arguments(declared_);
    }
    container_ = TRY(runtime::Container::spawn(plan_, options));
    watch_.lap("open its files, clone its first process");
    return {};
}

/// As for any other start (tools/ctr-run/start.cpp), with nothing to wait for after the exec.
Result<void> Connection::run_payload() {
    TRY_VOID(tell_main_pid(manager_, container_->pid(), declared_.ready_timeout));
    watch_.lap("tell systemd its first process");
    const ExecStop stop{container_->pid()};
    TRY_VOID(container_->go(declared_.ready_timeout));
    stop.wait();
    watch_.lap("its own set-up ends, exec");
    TRY_VOID(manager_.send("READY=1\nSTATUS=" + std::string{connected_status}));
    completed_ = true;
    container_->release();
    watch_.lap("tell systemd that it is ready");
    return {};
}

/// READY is said here: what the unit was asked for is a container that waits. As long as it can't be made the unit's
/// main process is ourselves, whose exit status says so.
Result<void> Connection::stand_by() {
    TRY_VOID(container_->await_prepared(declared_.ready_timeout));
    TRY_VOID(tell_main_pid(manager_, container_->pid(), declared_.ready_timeout));
    TRY_VOID(manager_.send("READY=1\nSTATUS=" + std::string{waiting_status}));
    UniqueFd connection = TRY(listeners_.accept(container_->pidfd()));
    return connection ? run_for(std::move(connection)) : Result<void>{};
}

Result<void> Connection::run_for(UniqueFd connection) {
    watch_.restart("ctr-run, which waits, sees the connection");
    passed_ = std::move(connection); // to be refused, where something fails
    TRY_VOID(manager_.send("STATUS=" + std::string{connected_status}));
    listeners_.told();
    TRY_VOID(container_->give_connection(passed_.get(), peer_of(passed_.get())));
    TRY_VOID(container_->go(declared_.ready_timeout));
    passed_ = UniqueFd{};
    completed_ = true;
    container_->release();
    watch_.lap("its own last steps, exec");
    keep_times();
    return {};
}

/// What is to wait next is nothing that the program, or its client, would wait for.
void Connection::become_filler() const {
    const std::string size = std::to_string(declared_.warm_pool);
    const std::string most = std::to_string(declared_.max_connections);
    ::execl(pool_program, "ctr-pool", "fill", name_.c_str(), size.c_str(), most.c_str(), nullptr);
    print_warning(name_, os_error(errno, "cannot run '" + std::string{pool_program} + "'"));
    ::_exit(ok);
}

/// Several may come to it at once: each adds to what the others have written.
void Connection::keep_times() {
    const auto folder = open_at(AT_FDCWD, declared_.folder, O_RDONLY | O_DIRECTORY);
    if (!folder || ::flock(folder->get(), LOCK_EX) < 0)
        return; // no longer declared
    if (auto kept = keep_success(name_, watch_, 0); !kept)
        print_warning(name_, kept.error());
}

Result<void> Connection::run() {
    TRY_VOID(prepare());
    TRY_VOID(spawn());
    if (waits_)
        return stand_by();
    TRY_VOID(run_payload());
    keep_times();
    return {};
}

Result<void> run_one(const std::string& name, const Notifier& manager, bool waits) {
    Connection one{name, manager, waits};
    auto done = one.run();
    if (one.was_taken())
        one.become_filler();
    if (!done) {
        print_error(name, done.error());
        one.refuse();
        if (auto kept = keep_failure(name, done.error()); !kept)
            print_warning(name, kept.error());
    }
    return done;
}

} // namespace

Result<void> start_connection(const std::string& name, const Notifier& manager) {
    return run_one(name, manager, false);
}

Result<void> await_connection(const std::string& name, const Notifier& manager) { return run_one(name, manager, true); }

Result<void> clean_connection(const std::string& name) {
    if (auto released = release_image(run_key(name)); !released)
        print_warning(name, released.error());
    const UnitCgroup cgroup = TRY(unit_cgroup(name));
    tell_oomd_kill(cgroup);
    return remove_payload_cgroup(cgroup);
}

} // namespace ctrd::run
