#include "ctrd/registry/helper_process.hpp"

#include "ctrd/base/deadline.hpp"
#include "ctrd/base/fd.hpp"
#include "ctrd/base/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

namespace ctrd::registry {
namespace {

/// What a helper needs to find its user's key ring, and nothing that could be meant for us (LD_PRELOAD, tokens).
std::vector<std::string> clean_environment() {
    std::vector<std::string> environment{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"};
    for (const char* name : {"HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"})
        if (const char* value = std::getenv(name))
            environment.push_back(std::string{name} + "=" + value);
    return environment;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (auto& text : texts)
        result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

/// Its stdin and stdout are `socket`, stderr goes nowhere.
Result<pid_t> spawn(const std::string& program, const std::vector<std::string>& arguments, int socket) {
    std::vector<std::string> words{program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    auto environment = clean_environment();
    posix_spawn_file_actions_t actions{};
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, socket, 0);
    ::posix_spawn_file_actions_adddup2(&actions, socket, 1);
    ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_t attributes{};
    ::posix_spawnattr_init(&attributes);
    sigset_t none{};
    sigset_t all{};
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setpgroup(&attributes, 0); // what it has started ends with it
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    pid_t pid = -1;
    const int err = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, pointers(words).data(),
                                  pointers(environment).data());
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (err != 0)
        return fail(os_error(err, "cannot run '" + program + "'"));
    return pid;
}

/// All that it says until it closes its end.
Result<std::string> converse(int socket, std::string_view input, const Deadline& deadline, std::size_t limit) {
    std::string output;
    bool asked = false;
    for (;;) {
        if (!asked && input.empty()) {
            ::shutdown(socket, SHUT_WR);
            asked = true;
        }
        pollfd waits{socket, static_cast<short>(asked ? POLLIN : POLLIN | POLLOUT), 0};
        if (const int ready = ::poll(&waits, 1, deadline.poll_timeout()); ready == 0)
            return fail(os_error(ETIMEDOUT, "no answer"));
        if ((waits.revents & POLLOUT) != 0 && !asked) {
            const ssize_t sent = ::send(socket, input.data(), input.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent < 0 && errno != EAGAIN && errno != EINTR)
                input = {}; // it does not want to hear it
            else if (sent > 0)
                input.remove_prefix(static_cast<std::size_t>(sent));
        }
        if ((waits.revents & (POLLIN | POLLHUP | POLLERR)) == 0)
            continue;
        std::array<char, 4096> buffer{};
        const ssize_t got = ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return output;
        output.append(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (output.size() > limit)
            return fail(os_error(EFBIG, "too long an answer"));
    }
}

} // namespace

Result<Ran> run_program(const std::string& program, const std::vector<std::string>& arguments, std::string_view input,
                        std::chrono::milliseconds timeout, std::size_t limit) {
    const Deadline deadline{timeout};
    std::array<int, 2> raw{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, raw.data()) < 0)
        return fail(os_error(errno, "cannot make a socket pair"));
    const UniqueFd ours{raw[0]};
    UniqueFd theirs{raw[1]};
    const pid_t pid = TRY(spawn(program, arguments, theirs.get()));
    theirs = UniqueFd{};
    auto output = converse(ours.get(), input, deadline, limit).context("'" + program + "'");
    // One that has closed its output and goes on is not waited for any longer than the others.
    const auto pidfd = open_pidfd(pid);
    pollfd ends{pidfd ? pidfd->get() : -1, POLLIN, 0};
    if (!output || ::poll(&ends, 1, deadline.poll_timeout()) <= 0)
        ::kill(-pid, SIGKILL);
    const int status = TRY(wait_exit(pid));
    return Ran{status, TRY(std::move(output))};
}

} // namespace ctrd::registry
