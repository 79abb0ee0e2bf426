// run, create and start.
#include "tools/ctr-oci/commands.hpp"
#include "tools/ctr-oci/launch.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "tools/ctr-oci/foreground.hpp"
#include "tools/ctr-oci/unix_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

namespace ctrd::ctr_oci {
namespace {

Result<int> run_in_foreground(Launch& launch, int console) {
    // Blocked before go: a signal that comes while the payload starts is not lost, and does not end us.
    const Foreground foreground{console};
    TRY_VOID(launch.go());
    TRY_VOID(run_poststart(launch.bundle().spec.hooks, launch.record()));
    const int status = TRY(foreground.wait(launch.container().pid(), launch.container().pidfd()));
    launch.container().release();
    return status;
}

} // namespace

Result<int> run(const Options& options) {
    Launch launch{options, open_records(options)};
    if (options.detach || !options.console_socket.empty()) {
        UniqueFd console;
        if (!options.console_socket.empty())
            console = TRY(connect_unix(options.console_socket, SOCK_STREAM, "--console-socket"));
        TRY_VOID(launch.prepare(console ? console.get() : -1, false));
        if (!options.detach)
            return run_in_foreground(launch, -1);
        TRY_VOID(launch.go());
        TRY_VOID(run_poststart(launch.bundle().spec.hooks, launch.record()));
        launch.container().release();
        launch.keep();
        return 0;
    }
    launch.show_on_our_terminal();
    SocketPair console = TRY(make_socket_pair());
    TRY_VOID(launch.prepare(console.theirs.get(), false));
    const bool terminal = launch.bundle().spec.process->terminal;
    auto status = run_in_foreground(launch, terminal ? console.ours.get() : -1);
    if (status && options.keep)
        launch.keep();
    return status;
}

Result<int> create(const Options& options) {
    Launch launch{options, open_records(options)};
    UniqueFd console;
    if (!options.console_socket.empty())
        console = TRY(connect_unix(options.console_socket, SOCK_STREAM, "--console-socket"));
    TRY_VOID(launch.prepare(console ? console.get() : -1, true));
    TRY_VOID(launch.go());
    launch.container().release();
    launch.keep();
    return 0;
}

Result<int> start(const Options& options) {
    const store::Records records = open_records(options);
    const std::string& id = options.arguments.front();
    const store::Record record = TRY(records.load(id));
    if (const auto status = records.status(record); status != store::Status::created)
        return fail(bad_input("container '" + id + "' is " + std::string{to_string(status)} + ", not created"));
    const std::string folder = records.folder(id);
    // The copy made at create: what is started is what was created, whatever has happened to the bundle since.
    const auto bundle = TRY(load_bundle(folder + "/config.json", {record.bundle, false}));
    const UniqueFd leader = TRY(open_pidfd(record.pid));
    const UniqueFd dir = TRY(open_at(AT_FDCWD, folder, O_PATH | O_DIRECTORY));
    const UniqueFd connection = TRY(
        connect_unix("/proc/self/fd/" + std::to_string(dir.get()) + "/start.sock", SOCK_SEQPACKET, "the container's"));
    if (::unlink((folder + "/start.sock").c_str()) < 0)
        return fail(os_error(errno, "cannot remove '" + folder + "/start.sock'"));
    auto started = runtime::await_start({connection.get(), record.pid, leader.get()}, bundle->plan, facts_of(record),
                                        start_timeout);
    if (started)
        started = run_poststart(bundle->spec.hooks, record);
    if (started)
        return 0;
    // A hook that fails ends the container (runtime.md, steps 7 and 9); without hooks `delete` is the caller's.
    if (!bundle->spec.hooks.start_container.empty() || !bundle->spec.hooks.poststart.empty())
        TRY_VOID(dispose(records, record));
    return fail(std::move(started).error());
}

} // namespace ctrd::ctr_oci
