#include "tools/ctrctl/polkit_agent.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>
#include <string>

namespace ctrd::ctl {
namespace {

constexpr const char* agent_path = "/usr/bin/pkttyagent";
constexpr int registered_within_ms = 3000;

/// In the child. The agent must not survive us: it would hold the terminal.
[[noreturn]] void become_agent(pid_t parent, int notify) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent)
        ::_exit(1);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::fcntl(notify, F_SETFD, 0);
    const std::string number = std::to_string(notify);
    ::execl(agent_path, agent_path, "--notify-fd", number.c_str(), "--fallback", nullptr);
    ::_exit(127);
}

} // namespace

PolkitAgent PolkitAgent::start() {
    PolkitAgent agent;
    // A terminal as stdin is not enough: the agent asks at the controlling one, which `su -c` takes away.
    const bool can_ask = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1 &&
                         UniqueFd{::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)};
    if (::geteuid() == 0 || !can_ask || ::access(agent_path, X_OK) != 0)
        return agent;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        return agent;
    const UniqueFd read_end{ends[0]};
    UniqueFd write_end{ends[1]};
    const pid_t parent = ::getpid();
    agent.pid_ = ::fork();
    if (agent.pid_ == 0)
        become_agent(parent, write_end.get());
    write_end = UniqueFd{};
    // It closes the pipe when it is registered: a call before that would be denied without a question.
    pollfd closed{.fd = read_end.get(), .events = POLLIN, .revents = 0};
    ::poll(&closed, 1, registered_within_ms);
    return agent;
}

PolkitAgent::~PolkitAgent() {
    if (pid_ <= 0)
        return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
}

} // namespace ctrd::ctl
