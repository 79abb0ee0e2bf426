// run, create and start.
#include "tools/ctr-oci/commands.hpp"
#include "tools/ctr-oci/launch.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/base/terminal_relay.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace ctrd::ctr_oci {
namespace {

Result<UniqueFd> connect_unix(const std::string& path, int type, const std::string& what) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(os_error(ENAMETOOLONG, what + " '" + path + "'"));
    std::memcpy(address.sun_path, path.c_str(), path.size());
    UniqueFd socket{::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)};
    if (!socket || ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
        return fail(os_error(errno, "cannot connect to " + what + " '" + path + "'"));
    return socket;
}

/// Signals that a user or a service manager sends to us are meant for the payload.
class ForwardedSignals {
public:
    ForwardedSignals() {
        ::sigfillset(&set_);
        for (const int number : {SIGCHLD, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPIPE, SIGTTOU, SIGTTIN})
            ::sigdelset(&set_, number);
        ::sigprocmask(SIG_BLOCK, &set_, nullptr);
        fd_ = UniqueFd{::signalfd(-1, &set_, SFD_CLOEXEC)};
    }
    [[nodiscard]] int fd() const { return fd_.get(); }
    void forward(int pidfd) const {
        signalfd_siginfo info{};
        if (::read(fd_.get(), &info, sizeof info) == sizeof info) [[maybe_unused]]
            auto sent = send_signal(pidfd, static_cast<int>(info.ssi_signo));
    }

private:
    sigset_t set_{};
    UniqueFd fd_;
};

Result<void> wait_and_forward(int pidfd, const ForwardedSignals& signals) {
    while (true) {
        pollfd waiting[2] = {{pidfd, POLLIN, 0}, {signals.fd(), POLLIN, 0}};
        if (::poll(waiting, 2, -1) < 0 && errno != EINTR)
            return fail(os_error(errno, "cannot wait for the container"));
        if (waiting[0].revents != 0)
            return {};
        if (waiting[1].revents != 0)
            signals.forward(pidfd);
    }
}

Result<void> relay(int console, int pidfd) {
    FdMessage message = TRY(receive_fds(console, 4096));
    if (message.fds.size() != 1)
        return fail(os_error(EPROTO, "the container sent no terminal"));
    return relay_terminal(message.fds.front().get(), pidfd);
}

Result<int> run_in_foreground(Launch& launch, int console) {
    const pid_t pid = launch.container().pid();
    // Blocked before go: a signal that comes while the payload starts is not lost, and does not end us.
    std::optional<ForwardedSignals> signals;
    if (console < 0)
        signals.emplace();
    TRY_VOID(launch.go());
    TRY_VOID(run_poststart(launch.bundle().spec.hooks, launch.record()));
    TRY_VOID(console >= 0 ? relay(console, launch.container().pidfd())
                          : wait_and_forward(launch.container().pidfd(), *signals));
    const int status = TRY(wait_exit(pid));
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
    const auto bundle = TRY(load_bundle(folder, record.bundle));
    const UniqueFd dir = TRY(open_at(AT_FDCWD, folder, O_PATH | O_DIRECTORY));
    const UniqueFd connection = TRY(
        connect_unix("/proc/self/fd/" + std::to_string(dir.get()) + "/start.sock", SOCK_SEQPACKET, "the container's"));
    if (::unlink((folder + "/start.sock").c_str()) < 0)
        return fail(os_error(errno, "cannot remove '" + folder + "/start.sock'"));
    auto started = runtime::await_start(connection.get(), bundle->plan, record.pid, facts_of(record), start_timeout);
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
