#include "tools/ctr-oci/launch.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/oci/parse.hpp"
#include "ctrd/runtime/cgroup.hpp"
#include "ctrd/runtime/intel_rdt.hpp"
#include "tools/ctr-oci/container_cgroup.hpp"
#include "tools/ctr-oci/environment.hpp"
#include "tools/ctr-oci/foreground.hpp"
#include "tools/ctr-oci/log.hpp"
#include "tools/ctr-oci/scope_properties.hpp"
#include "tools/ctr-oci/unix_socket.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace ctrd::ctr_oci {
namespace {

Result<std::string> absolute(const std::string& path) {
    char resolved[PATH_MAX];
    if (::realpath(path.c_str(), resolved) == nullptr)
        return fail(os_error(errno, "bundle '" + path + "'", "--bundle names a folder that holds config.json"));
    return std::string{resolved};
}

std::string now_rfc3339() {
    using namespace std::chrono;
    // By the calendar alone: gmtime(3) would read the time zone's file.
    const auto now = system_clock::now();
    const auto today = floor<days>(now);
    const year_month_day date{today};
    const hh_mm_ss time{floor<nanoseconds>(now - today)};
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                       time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

/// By the file alone: a static program must not load what the name service is configured to.
std::string user_name(uid_t uid) {
    if (uid == 0)
        return "root";
    const std::unique_ptr<std::FILE, CloseFile> file{std::fopen("/etc/passwd", "re")};
    while (const passwd* user = file ? ::fgetpwent(file.get()) : nullptr)
        if (user->pw_uid == uid)
            return user->pw_name;
    return std::to_string(uid);
}

/// The socket at which the child of `create` waits. Bound through a descriptor: a path may be at most 107 bytes long.
Result<UniqueFd> make_start_socket(const std::string& folder) {
    const UniqueFd dir = TRY(open_at(AT_FDCWD, folder, O_PATH | O_DIRECTORY));
    UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/start.sock", dir.get());
    if (!socket || ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 ||
        ::listen(socket.get(), 1) < 0)
        return fail(os_error(errno, "cannot make '" + folder + "/start.sock'"));
    return socket;
}

/// The deletion goes on; the caller must hear of it all the same.
void warn(const Error& error) { std::fprintf(stderr, "ctr-oci: warning: %s\n", to_text(error).c_str()); }

} // namespace

store::Records open_records(const Options& options) {
    return store::Records{options.root.empty() ? store::Records::default_root() : options.root};
}

Result<std::unique_ptr<Bundle>> load_bundle(const std::string& path, const plan::HostFacts& host) {
    auto bundle = std::make_unique<Bundle>();
    bundle->folder = host.bundle;
    bundle->text = TRY(read_file(path, oci::max_config_size));
    bundle->spec = TRY(oci::parse(bundle->text).context("'" + path + "'"));
    bundle->plan = TRY(plan::make_plan(bundle->spec, host).context("'" + path + "'"));
    return bundle;
}

Launch::~Launch() {
    if (keep_ || !reserved_)
        return;
    container_.reset(); // kills and reaps
    scope_.reset();
    [[maybe_unused]] auto gone = dispose(records_, record_);
}

void Launch::show_on_our_terminal() { console_size_ = own_console_size(); }

Result<void> Launch::make_record() {
    record_.id = options_.arguments.front();
    record_.version = bundle_->spec.version;
    record_.bundle = bundle_->folder;
    record_.rootfs = bundle_->spec.root_path.starts_with('/') ? bundle_->spec.root_path
                                                              : bundle_->folder + "/" + bundle_->spec.root_path;
    record_.created = now_rfc3339();
    record_.owner = user_name(::geteuid());
    record_.annotations = bundle_->spec.annotations;
    record_.has_poststop = !bundle_->spec.hooks.poststop.empty();
    record_.new_keyring = !options_.no_new_keyring;
    return {};
}

void Launch::make_environment() {
    oci::Process& process = bundle_->plan.process.process;
    add_home(process, record_.rootfs);
    if (const unsigned count = listen_fds(); count != 0) {
        process.env.push_back("LISTEN_FDS=" + std::to_string(count));
        process.env.push_back("LISTEN_PID=1");
    }
}

Result<void> Launch::request_scope() {
    std::vector<std::string> properties = scope_properties(controls_);
    for (std::string& property : TRY(annotated_properties(bundle_->spec.annotations)))
        properties.push_back(std::move(property));
    scope_.emplace(TRY(Scope::request(bundle_->spec.cgroups_path, record_.id, properties)));
    return {};
}

Result<void> Launch::make_cgroup() {
    if (options_.systemd_cgroup)
        record_.cgroup = TRY(scope_->await());
    else
        TRY_VOID(make_own_cgroup(record_, bundle_->spec, options_, controls_.empty()));
    if (record_.cgroup.empty())
        return {}; // without the right to make one it stays in ours
    record_.cgroup_id = store::cgroup_id(record_.cgroup);
    return runtime::apply_controls(record_.cgroup, controls_);
}

Result<void> Launch::limit_devices() {
    return record_.cgroup.empty() ? Result<void>{} : limit_devices_of(record_, bundle_->plan);
}

Result<void> Launch::prepare_place() {
    TRY_VOID(take_place());
    return limit_devices();
}

Result<void> Launch::take_place() {
    const std::string folder = TRY(absolute(options_.bundle));
    const std::string config = options_.config.empty() ? folder + "/config.json" : options_.config;
    bundle_ = TRY(load_bundle(config, {folder, options_.no_pivot, {}, false, console_size_}));
    if (options_.debug)
        ::fputs(plan::describe(bundle_->plan).c_str(), stderr);
    TRY_VOID(make_record());
    make_environment();
    controls_ = TRY(oci::controls(bundle_->plan.resources));
    warn_of_ignored(options_, bundle_->plan.resources);
    warn_of_capabilities(options_, bundle_->plan.process.process, bundle_->plan.in_user_namespace);
    TRY_VOID(records_.reserve(record_.id));
    reserved_ = true;
    TRY_VOID(check_cgroup(bundle_->spec, record_.id, options_.systemd_cgroup));
    // Before anything else: whoever kills us can still be cleaned up after by what it says.
    TRY_VOID(records_.keep_config(record_.id, bundle_->text));
    if (options_.systemd_cgroup)
        TRY_VOID(request_scope());
    return make_cgroup();
}

Result<void> Launch::adopt(pid_t pid) {
    record_.start_time = TRY(start_time(pid));
    record_.pid = pid;
    TRY_VOID(records_.save(record_));
    scope_.reset(); // our process is in it: the helper may leave
    return {};
}

Result<void> Launch::prepare(int console_socket, bool wait_for_start) {
    TRY_VOID(take_place());
    // The kernel takes a third of a millisecond to check the filter: beside the child's own work, since nothing of the
    // image runs before go. Hooks in the container do.
    const bool hooks_run_before = !bundle_->plan.hooks.create_container.empty();
    if (hooks_run_before)
        TRY_VOID(limit_devices());
    runtime::SpawnOptions spawn;
    spawn.cgroup = record_.cgroup;
    if (bundle_->spec.process->terminal || !options_.console_socket.empty())
        spawn.console_socket = console_socket;
    // A terminal whose output goes from us into a pipe or a file: its lines end as the payload's do.
    spawn.plain_newlines = options_.console_socket.empty() && ::isatty(STDOUT_FILENO) == 0;
    spawn.state = facts_of(record_);
    spawn.new_keyring = record_.new_keyring;
    spawn.pass_fds = options_.pass_fds;
    UniqueFd start_socket;
    if (wait_for_start) {
        start_socket = TRY(make_start_socket(records_.folder(record_.id)));
        spawn.start_socket = start_socket.get();
    }
    const PidfdSocket pidfd_socket = TRY(PidfdSocket::connect(options_.pidfd_socket));
    container_ = TRY(runtime::Container::spawn(bundle_->plan, spawn));
    scope_.reset(); // our process is in it: the helper may leave
    record_.pid = container_->pid();
    record_.rdt_folder = container_->rdt_folder();
    record_.start_time = TRY(start_time(record_.pid));
    TRY_VOID(records_.save(record_));
    if (!hooks_run_before)
        TRY_VOID(limit_devices());
    return pidfd_socket.send(container_->pidfd());
}

Result<void> Launch::go() {
    TRY_VOID(container_->go(start_timeout));
    if (!options_.pid_file.empty())
        TRY_VOID(write_atomic(options_.pid_file, std::to_string(record_.pid), 0644).context("--pid-file"));
    return {};
}

runtime::StateFacts facts_of(const store::Record& record) {
    return {record.id, record.version, record.bundle, record.annotations};
}

Result<void> run_poststart(const oci::Hooks& hooks, const store::Record& record) {
    return runtime::run_hooks(hooks.poststart, "poststart",
                              runtime::state_json(facts_of(record), "running", record.pid));
}

Result<void> dispose(const store::Records& records, store::Record record) {
    oci::Hooks hooks;
    const bool half_made = record.pid == 0;
    if (half_made || record.has_poststop) {
        const auto text = read_file(records.folder(record.id) + "/config.json", oci::max_config_size);
        auto spec = text ? oci::parse(*text) : Result<oci::Spec>{std::unexpected{text.error()}};
        if (spec && half_made) {
            find_cgroup(record, *spec);
            if (record.rdt_folder.empty())
                record.rdt_folder = runtime::own_rdt_folder(spec->intel_rdt, record.id);
        }
        if (spec && record.has_poststop)
            hooks = std::move(spec->hooks);
        else if (!spec && record.has_poststop)
            warn(spec.error());
    }
    TRY_VOID(remove_cgroup_of(record));
    runtime::remove_rdt(record.rdt_folder);
    TRY_VOID(records.remove(record.id));
    const std::string state = runtime::state_json(facts_of(record), "stopped", 0);
    for (const oci::Hook& hook : hooks.poststop)
        if (auto run = runtime::run_hooks({hook}, "poststop", state); !run)
            warn(run.error());
    return {};
}

} // namespace ctrd::ctr_oci
