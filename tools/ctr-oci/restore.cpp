// restore: a container from the files of checkpoint. What it is, its bundle says; the files, what its processes were
// at.
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "tools/ctr-oci/commands.hpp"
#include "tools/ctr-oci/criu.hpp"
#include "tools/ctr-oci/criu_externals.hpp"
#include "tools/ctr-oci/foreground.hpp"
#include "tools/ctr-oci/launch.hpp"
#include "tools/ctr-oci/unix_socket.hpp"

#include <sys/socket.h>

#include <cerrno>

namespace ctrd::ctr_oci {
namespace {

constexpr char log_file[] = "restore.log";

class Restore {
public:
    Restore(const Options& options, Launch& launch, int console)
        : options_{options}, launch_{launch}, console_{console} {}

    /// The processes run on return.
    Result<void> run() {
        const Bundle& bundle = launch_.bundle();
        const store::Record& record = launch_.record();
        TRY_VOID(make_mount_points(record.rootfs, bundle.plan));
        // Bound where the record is, which is only covered for CRIU.
        CriuMounts mounts = TRY(CriuMounts::enter(record.rootfs, launch_.records().folder(record.id)));
        const CriuFolders folders = TRY(open_criu_folders(options_, ImagesAre::to_read));
        std::vector<InheritedFd> inherited = TRY(inherited_streams(folders.images.get()));
        std::vector<UniqueFd> opened;
        for (InheritedFd& one : TRY(external_namespaces_for(bundle.plan, opened)))
            inherited.push_back(std::move(one));
        CriuMessage message = TRY(request(folders));
        add_inherited(message, inherited);
        CriuSetup setup;
        setup.mounts = &mounts;
        if (options_.criu.cgroups_mode == "ignore")
            setup.cgroup = record.cgroup;
        for (const InheritedFd& one : inherited)
            setup.pass_fds.push_back(one.fd);
        const CriuReply reply =
            TRY(call_criu(CriuType::restore, message, setup,
                          [this](const CriuReply& said, const std::vector<UniqueFd>& fds) { return hear(said, fds); }));
        if (!reply.success)
            return fail(criu_error(folders, log_file, "cannot restore container '" + record.id + "'", reply));
        if (reply.pid <= 0 || reply.pid != record.pid)
            return fail(bad_input("criu did not say which process it has restored"));
        return {};
    }

private:
    Result<CriuMessage> request(const CriuFolders& folders) const {
        const store::Record& record = launch_.record();
        CriuMessage message = criu_options(options_, folders, log_file);
        message.flag(6, true);  // /proc/PID/fd and the like by other ways where a path is gone
        message.flag(26, true); // our child, not CRIU's
        message.text(13, launch_.records().folder(record.id));
        if (const std::string mount = TRY(cgroup_mount()); record.cgroup.starts_with(mount + "/"))
            message.message(25, CriuMessage{}.text(2, record.cgroup.substr(mount.size())));
        if (!options_.criu.lsm_profile.empty())
            message.text(53, options_.criu.lsm_profile);
        if (!options_.criu.lsm_mount_context.empty())
            message.text(63, options_.criu.lsm_mount_context);
        add_mounts(message, TRY(external_mounts_for(launch_.bundle().plan, record.cgroup)));
        return message;
    }

    Result<void> hear(const CriuReply& said, const std::vector<UniqueFd>& fds) {
        if (said.script == "orphan-pts-master")
            return give_terminal(fds);
        if (said.script == "setup-namespaces")
            return runtime::run_hooks(launch_.bundle().spec.hooks.create_runtime, "createRuntime",
                                      runtime::state_json(facts_of(launch_.record()), "creating", said.script_pid));
        if (said.script == "post-restore") // everything is there, nothing runs yet
            return launch_.adopt(said.script_pid);
        return {};
    }

    Result<void> give_terminal(const std::vector<UniqueFd>& fds) const {
        if (fds.size() != 1)
            return fail(bad_input("criu sent no terminal"));
        if (console_ < 0)
            return fail(bad_input("the container has a terminal: --detach needs --console-socket"));
        const int master[] = {fds.front().get()};
        return send_fds(console_, "/dev/pts/ptmx", master).context("--console-socket");
    }

    const Options& options_;
    Launch& launch_;
    int console_;
};

Result<void> write_pid_file(const Options& options, pid_t pid) {
    return options.pid_file.empty() ? Result<void>{}
                                    : write_atomic(options.pid_file, std::to_string(pid), 0644).context("--pid-file");
}

Result<void> complete(const Options& options, const Launch& launch) {
    TRY_VOID(write_pid_file(options, launch.record().pid));
    return run_poststart(launch.bundle().spec.hooks, launch.record());
}

Result<int> stay(const Options& options, Launch& launch, int console, int our_end) {
    const Foreground foreground{our_end};
    TRY_VOID(Restore(options, launch, console).run());
    const UniqueFd pidfd = TRY(open_pidfd(launch.record().pid)); // our child: the number is still its own
    TRY_VOID(complete(options, launch));
    return foreground.wait(launch.record().pid, pidfd.get());
}

} // namespace

Result<int> restore(const Options& options) {
    TRY_VOID(check_criu_options(options));
    TRY_VOID(open_criu_folders(options, ImagesAre::to_read)); // before anything is made
    UniqueFd console;
    if (!options.console_socket.empty())
        console = TRY(connect_unix(options.console_socket, SOCK_STREAM, "--console-socket"));
    Launch launch{options, open_records(options)};
    TRY_VOID(launch.prepare_place());
    TRY_VOID(check_restorable(launch.bundle().spec, launch.bundle().plan));
    if (options.detach) {
        TRY_VOID(Restore(options, launch, console.get()).run());
        TRY_VOID(complete(options, launch));
        launch.keep();
        return 0;
    }
    if (console || !launch.bundle().spec.process->terminal)
        return stay(options, launch, console.get(), -1);
    const SocketPair pair = TRY(make_socket_pair());
    return stay(options, launch, pair.theirs.get(), pair.ours.get());
}

} // namespace ctrd::ctr_oci
