#include "tools/ctrctl/image_worker.hpp"

#include "ctrd/base/names.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace ctrd::ctl {
namespace {

constexpr const char* worker_path = CTRD_LIBEXECDIR "/ctr-image";

/// The worker's environment is empty: nothing of ours is its business.
Result<pid_t> start(int socket) {
    const pid_t pid = ::fork();
    if (pid < 0)
        return fail(os_error(errno, "cannot start the image worker"));
    if (pid == 0) {
        // Input comes with the request, and answers go by the socket: our terminal is not the worker's. Its own
        // complaints, such as the C library's, may be seen.
        const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0 || ::dup2(null, STDIN_FILENO) < 0 || ::dup2(null, STDOUT_FILENO) < 0)
            ::_exit(126);
        // dup2 on itself would leave it close-on-exec.
        if (socket == imaging::worker_socket ? ::fcntl(socket, F_SETFD, 0) < 0
                                             : ::dup2(socket, imaging::worker_socket) < 0)
            ::_exit(126);
        const char* const argv[] = {worker_path, nullptr};
        const char* const envp[] = {nullptr};
        ::execve(worker_path, const_cast<char* const*>(argv), const_cast<char* const*>(envp));
        ::_exit(127);
    }
    return pid;
}

Error died(int status) {
    if (WIFSIGNALED(status))
        return bad_input("the image worker was killed by " + signal_name(WTERMSIG(status)));
    if (WEXITSTATUS(status) == 127)
        return os_error(ENOENT, std::string{"cannot run '"} + worker_path + "'", "is ctrd installed?");
    return bad_input("the image worker ended without an answer");
}

/// Until its answer; nothing if it ends without one.
Result<std::optional<Result<std::vector<image::Tag>>>> listen(int socket, const image::ProgressSink& progress) {
    using Answer = std::optional<Result<std::vector<image::Tag>>>;
    for (;;) {
        auto message = receive_fds(socket, imaging::max_message);
        if (!message || message->data.empty())
            return Answer{};
        const image::Json json = TRY(image::parse_json(message->data, imaging::max_message));
        if (json.contains("error"))
            return Answer{fail(imaging::error_from(json["error"]))};
        if (json.contains("tags"))
            return Answer{imaging::tags_from(json)};
        const image::Progress one = TRY(imaging::progress_from(json));
        if (progress)
            progress(one);
    }
}

} // namespace

Result<std::vector<image::Tag>> run_image_worker(const imaging::Request& request, int store, int input,
                                                 const image::ProgressSink& progress) {
    SocketPair sockets = TRY(make_socket_pair());
    const pid_t pid = TRY(start(sockets.theirs.get()));
    sockets.theirs = UniqueFd{};
    const int fds[] = {store, input};
    const auto sent = send_fds(
        sockets.ours.get(), imaging::to_json(request).dump(-1, ' ', false, image::Json::error_handler_t::replace), fds);
    auto answer = listen(sockets.ours.get(), progress);
    sockets.ours = UniqueFd{}; // ends one that still speaks
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!answer)
        return fail(std::move(answer).error());
    if (*answer)
        return std::move(**answer);
    return fail(WIFEXITED(status) && WEXITSTATUS(status) == 0 && !sent ? sent.error() : died(status));
}

} // namespace ctrd::ctl
