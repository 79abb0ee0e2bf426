// run: a container in the foreground, of an image, a folder or a bundle, for as long as its command lasts. It needs
// neither ctrd nor systemd: ctr-oci does the work, and where PID 1 is systemd the container gets a scope in
// machine.slice.
#include "tools/ctrctl/adhoc.hpp"
#include "tools/ctrctl/apply_images.hpp"
#include "tools/ctrctl/image_ensure.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/run_image.hpp"
#include "tools/ctrctl/run_spec.hpp"
#include "tools/ctrctl/run_users.hpp"
#include "tools/ctrctl/signal_queue.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "config/config.hpp"
#include "config/syntax.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/base/process.hpp"

#include <nlohmann/json.hpp>

#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>

namespace ctrd::ctl {
namespace {

constexpr const char* runtime_path = CTRD_BINDIR "/ctr-oci";

Outcome<std::string> absolute_folder(const std::string& path, const char* what) {
    char resolved[PATH_MAX];
    struct stat st {};
    const int err = ::realpath(path.c_str(), resolved) && ::stat(resolved, &st) == 0 ? 0 : errno;
    if (err)
        return refuse(exit_bad_input,
                      os_error(err, std::string{what} + " '" + path + "'", "give the path of an existing folder"));
    if (!S_ISDIR(st.st_mode))
        return refuse(exit_bad_input, os_error(ENOTDIR, std::string{what} + " '" + path + "'"));
    return resolved;
}

bool is_taken(const std::string& name) {
    return config::find_main_file(name, config::SearchDirs::system()).has_value() ||
           ::access(("/run/ctrd/adhoc/" + name).c_str(), F_OK) == 0;
}

/// One in the background may have that of a process that has ended.
std::string unused_name() {
    const std::string first = "run-" + std::to_string(::getpid());
    std::string name = first;
    for (int number = 2; is_taken(name); ++number)
        name = first + "-" + std::to_string(number);
    return name;
}

/// A name that was asked for must not be a declared container's: units, machines and logs go by it.
Outcome<std::string> choose_name(const RunOptions& options) {
    if (options.name.empty())
        return unused_name();
    if (auto good = check_container_name(options.name); !good)
        return refuse(exit_bad_input, std::move(good).error());
    if (const auto file = config::find_main_file(options.name, config::SearchDirs::system()))
        return refuse(exit_failure,
                      {std::errc::device_or_resource_busy,
                       "the name '" + options.name + "' is already in use by the container of '" + *file + "'",
                       "choose another one with --name, or 'ctrctl start " + options.name + "'"});
    if ((options.detach || options.create) && is_taken(options.name))
        return refuse(exit_failure,
                      {std::errc::device_or_resource_busy,
                       "the name '" + options.name + "' is already in use by a container in the foreground",
                       "choose another one with --name"});
    return options.name;
}

Outcome<config::UnitSpec> spec_of(const RunOptions& options, const std::string& name) {
    config::UnitSpec spec;
    spec.name = name;
    if (!options.image.empty()) {
        spec.image = options.image;
    } else {
        const bool of_bundle = !options.bundle.empty();
        auto folder =
            of_bundle ? absolute_folder(options.bundle, "bundle") : absolute_folder(options.rootfs, "root file system");
        if (!folder)
            return std::unexpected{std::move(folder).error()};
        (of_bundle ? spec.bundle : spec.rootfs) = *folder;
    }
    if (!options.entrypoint.empty())
        spec.entrypoint = options.entrypoint;
    spec.command = options.command;
    if (!options.user.empty())
        spec.user = options.user;
    if (!options.directory.empty())
        spec.working_directory = options.directory;
    if (!options.hostname.empty())
        spec.hostname = options.hostname;
    if (!options.network.empty())
        spec.network = options.network == "host" ? config::Network::host : config::Network::none;
    if (!options.private_users.empty()) {
        auto users = config::parse_private_users(options.private_users);
        if (!users)
            return refuse(exit_bad_input, std::move(users).context("--private-users").error());
        spec.private_users = *users;
    }
    if (!options.slice.empty()) {
        auto slice = config::parse_slice(options.slice);
        if (!slice)
            return refuse(exit_bad_input, std::move(slice).context("--slice").error());
        spec.slice = *slice;
    }
    if (options.read_only)
        spec.read_only = true;
    spec.terminal = options.terminal && (options.detach || options.create);
    if (!options.restart.empty())
        spec.restart = options.restart;
    for (const auto& assignment : options.environment)
        spec.environment.insert_or_assign(assignment.substr(0, assignment.find('=')),
                                          assignment.substr(assignment.find('=') + 1));
    return spec;
}

bool wants_terminal(const RunOptions& options) {
    return options.terminal || (!options.no_terminal && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1);
}

nlohmann::ordered_json mappings_of(const std::vector<oci::IdMapping>& mappings) {
    auto array = nlohmann::ordered_json::array();
    for (const auto& one : mappings)
        array.push_back({{"containerID", one.container_id}, {"hostID", one.host_id}, {"size", one.size}});
    return array;
}

/// Read-only; what has to be made for it is gone with the run's changes.
void mount_names(nlohmann::ordered_json& mounts, const config::NameFiles& names) {
    for (const auto& [place, source] : names.over) {
        std::error_code error;
        const bool is_ours = !source.starts_with('/');
        const std::string from = is_ours ? source : std::filesystem::canonical(source, error).string();
        if (!error)
            mounts.push_back({{"destination", place},
                              {"type", "bind"},
                              {"source", from},
                              {"options", {"bind", "ro", "rprivate", "nosuid", "nodev", "noexec"}}});
    }
}

Outcome<config::AdHoc> config_for(const RunOptions& options, const config::UnitSpec& spec,
                                  const std::optional<RunImage>& image, const RunUsers& users) {
    config::Sources sources;
    if (image)
        sources.image = image->digest();
    auto config = config::ad_hoc(spec, wants_terminal(options), sources);
    if (!config)
        return refuse(exit_bad_input, config::to_error(config.error()));
    auto json = nlohmann::ordered_json::parse(config->config_json, nullptr, false);
    if (json.is_discarded() || !json.is_object())
        return refuse(exit_internal, bad_input("the configuration of '" + spec.name + "' is no JSON object"));
    if (const auto& ids = users.ids()) {
        json["linux"]["uidMappings"] = mappings_of(ids->uids);
        json["linux"]["gidMappings"] = mappings_of(ids->gids);
        json["root"]["path"] = "rootfs"; // where it is mounted with these owners
    }
    mount_names(json["mounts"], config->names);
    if (::sd_booted() > 0)
        json["linux"]["cgroupsPath"] = spec.slice.value_or("machine.slice") + ":ctr:" + spec.name;
    config->config_json = json.dump();
    return std::move(*config);
}

/// What has to be mounted before the runtime looks for it; a folder that is taken as it is has not.
Result<void> mount_rootfs(const config::UnitSpec& spec, const std::optional<RunImage>& image, const RunUsers& users,
                          const std::string& place) {
    if (image)
        return image->mount_on(place, users.ids());
    return users.ids() ? mount_mapped(*spec.rootfs, *users.ids(), place) : Result<void>{};
}

/// With what `mount` mounts on the place for the rootfs.
[[noreturn]] void become_runtime(const AdhocBundle& bundle, const std::string& name, const SignalQueue& signals,
                                 const std::function<Result<void>(const std::string& place)>& mount, pid_t parent) {
    // If we are killed, the container ends too: nobody would wait for it.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent)
        ::_exit(exit_internal);
    signals.restore_mask();
    if (const auto mounted = mount(bundle.path() + "/rootfs"); !mounted)
        ::_exit(report(exit_internal, mounted.error()));
    const std::string log = bundle.error_log();
    std::vector<const char*> argv{runtime_path, "--log", log.c_str()};
    if (::sd_booted() > 0)
        argv.push_back("--systemd-cgroup");
    for (const char* argument : {"run", "--bundle", bundle.path().c_str(), name.c_str()})
        argv.push_back(argument);
    argv.push_back(nullptr);
    ::execv(runtime_path, const_cast<char* const*>(argv.data()));
    const int err = errno;
    ::_exit(
        report(exit_internal, os_error(err, std::string{"cannot run '"} + runtime_path + "'", "is ctrd installed?")));
}

/// Passes signals on until the runtime has ended; its exit code.
int supervise(pid_t runtime, const SignalQueue& signals) {
    for (;;) {
        pollfd ready{.fd = signals.fd(), .events = POLLIN, .revents = 0};
        ::poll(&ready, 1, -1);
        while (const auto signal = signals.next())
            // The terminal's own ^C has reached the runtime already: it is in the foreground as we are.
            if (signal->number != SIGCHLD && !signal->from_kernel)
                ::kill(runtime, signal->number);
        int status = 0;
        if (::waitpid(runtime, &status, WNOHANG) != runtime)
            continue;
        if (WIFSIGNALED(status))
            return report(exit_internal, bad_input("ctr-oci was killed by " + signal_name(WTERMSIG(status))));
        return WEXITSTATUS(status);
    }
}

Outcome<void> check_options(const RunOptions& options) {
    if (::geteuid() != 0)
        return refuse(exit_denied, {std::errc::operation_not_permitted,
                                    "cannot run or create a container: permission denied", "run it as root"});
    if (!options.rootfs.empty() && !options.bundle.empty())
        return refuse(exit_bad_input, bad_input("--rootfs and --bundle exclude each other"));
    if (options.rootfs.empty() && options.bundle.empty() && options.image.empty())
        return refuse(exit_bad_input,
                      bad_input("neither an image nor --rootfs nor --bundle is given",
                                "as in: ctrctl run IMAGE; 'ctrctl image list' shows those that are stored"));
    if (!options.entrypoint.empty() && options.image.empty())
        return refuse(exit_bad_input, bad_input("--entrypoint goes with an image", "write all of it as the command"));
    if (!options.rootfs.empty() && options.command.empty())
        return refuse(exit_bad_input, bad_input("no command to run in '" + options.rootfs + "'",
                                                "as in: ctrctl run --rootfs " + options.rootfs + " -- /bin/sh"));
    if (!options.restart.empty() && !options.detach && !options.create)
        return refuse(exit_bad_input, bad_input("--restart is for containers in the background", "add --detach"));
    return check_assignments(options.environment);
}

/// The store with the image, if it is one that is run: pulled, if it is not there.
Outcome<std::optional<RunImage>> open_image(const RunOptions& options) {
    if (options.image.empty())
        return std::optional<RunImage>{};
    auto digest = ensure_image(options.image, Missing::pull);
    if (!digest)
        return refuse(digest.error().code == std::errc::no_such_file_or_directory ? exit_no_container : exit_failure,
                      std::move(digest).error());
    auto opened = RunImage::open(*digest);
    if (!opened)
        return std::unexpected{std::move(opened).error()};
    return std::optional<RunImage>{std::move(*opened)};
}

} // namespace

int run(const RunOptions& options) {
    if (auto good = check_options(options); !good)
        return report(good.error());
    const auto name = choose_name(options);
    if (!name)
        return report(name.error());
    auto image = open_image(options);
    if (!image)
        return report(image.error());
    const auto spec = spec_of(options, *name);
    if (!spec)
        return report(spec.error());
    if ((options.detach || options.create) && *image) // for the generator, which completes no short names
        if (auto pinned =
                pin_images({{*name, options.image, image::use_text((*image)->digest().text(), options.image)}});
            !pinned)
            return report(exit_failure, pinned.error());
    if (options.detach || options.create)
        return run_detached(options, *name, *spec);
    const auto users = RunUsers::take(*spec);
    if (!users)
        return report(exit_failure, users.error());
    const auto config = config_for(options, *spec, *image, *users);
    if (!config)
        return report(config.error());
    // Before the folder exists: from here on no signal ends us, so that it is always removed.
    const auto signals = SignalQueue::open({SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD});
    if (!signals)
        return report(exit_internal, signals.error());
    const auto bundle = AdhocBundle::create(*name, config->config_json);
    if (!bundle)
        return report(bundle.error());
    if (!config->names.hosts.empty())
        if (const auto written = write_atomic(bundle->path() + "/" + config::hosts_file, config->names.hosts, 0644);
            !written)
            return report(exit_internal, written.error());
    if (*image)
        if (const auto held = (*image)->hold(*config->image, options.image, bundle->path()); !held)
            return report(held.error());
    if (users->ids())
        if (const auto made = make_dirs(bundle->path() + "/rootfs", 0700); !made)
            return report(exit_internal, made.error());
    const pid_t parent = ::getpid();
    const pid_t runtime = ::fork();
    if (runtime < 0)
        return report(exit_internal, os_error(errno, "cannot start ctr-oci"));
    if (runtime == 0)
        become_runtime(
            *bundle, *name, *signals,
            [&](const std::string& place) { return mount_rootfs(*spec, *image, *users, place); }, parent);
    const int code = supervise(runtime, *signals);
    // The runtime has said why on stderr. Its code alone could be the payload's.
    const auto errors = code == 0 ? Result<std::string>{""} : read_file(bundle->error_log());
    return errors && !errors->empty() ? exit_code_of(*errors) : code;
}

} // namespace ctrd::ctl
