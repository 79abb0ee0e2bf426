#include "tools/ctrctl/helper.hpp"

#include "ctrd/base/names.hpp"
#include "ctrd/image/worker_protocol.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace ctrd::ctl {
namespace {

[[noreturn]] void become(const std::string& path, int socket) {
    // Its own process group: ^C is ours to hear.
    ::setpgid(0, 0);
    // Input comes with the request, and answers go by the socket: our terminal is not the helper's. Its own complaints,
    // such as the C library's, may be seen.
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || ::dup2(null, STDIN_FILENO) < 0 || ::dup2(null, STDOUT_FILENO) < 0)
        ::_exit(126);
    // dup2 on itself would leave it close-on-exec.
    if (socket == imaging::worker_socket ? ::fcntl(socket, F_SETFD, 0) < 0 : ::dup2(socket, imaging::worker_socket) < 0)
        ::_exit(126);
    close_on_exec_from(imaging::worker_socket + 1);
    const char* const argv[] = {path.c_str(), nullptr};
    const char* const envp[] = {nullptr};
    ::execve(path.c_str(), const_cast<char* const*>(argv), const_cast<char* const*>(envp));
    ::_exit(127);
}

} // namespace

Result<Helper> Helper::start(const std::string& name) {
    SocketPair sockets = TRY(make_socket_pair());
    const std::string path = CTRD_LIBEXECDIR "/" + name;
    const pid_t pid = ::fork();
    if (pid < 0)
        return fail(os_error(errno, "cannot start '" + name + "'"));
    if (pid == 0)
        become(path, sockets.theirs.get());
    return Helper{name, std::move(sockets.ours), pid};
}

Helper::Helper(Helper&& other) noexcept
    : name_{std::move(other.name_)}, socket_{std::move(other.socket_)}, pid_{std::exchange(other.pid_, -1)} {}

Helper::~Helper() { kill(); }

Result<void> Helper::send(const image::Json& message, std::span<const int> fds) const {
    return send_fds(socket_.get(), message.dump(-1, ' ', false, image::Json::error_handler_t::replace), fds);
}

std::optional<Error> Helper::wait() {
    socket_ = UniqueFd{}; // ends one that still speaks
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    if (WIFSIGNALED(status))
        return bad_input("'" + name_ + "' was killed by " + signal_name(WTERMSIG(status)));
    if (WEXITSTATUS(status) == 127)
        return os_error(ENOENT, "cannot run '" CTRD_LIBEXECDIR "/" + name_ + "'", "is ctrd installed?");
    if (WEXITSTATUS(status) != 0)
        return bad_input("'" + name_ + "' ended without an answer");
    return std::nullopt;
}

void Helper::kill() noexcept {
    if (pid_ < 0)
        return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
}

Result<FdMessage> next_message(int socket, const SignalQueue& signals, std::size_t limit) {
    for (;;) {
        pollfd waiting[] = {{socket, POLLIN, 0}, {signals.fd(), POLLIN, 0}};
        if (::poll(waiting, 2, -1) < 0 && errno != EINTR)
            return fail(os_error(errno, "cannot wait"));
        if (signals.next())
            return fail(Error{std::errc::interrupted, "interrupted"});
        if (waiting[0].revents != 0)
            return receive_fds(socket, limit);
    }
}

Result<SignalQueue> end_signals() { return SignalQueue::open({SIGINT, SIGTERM, SIGHUP, SIGQUIT}); }

} // namespace ctrd::ctl
