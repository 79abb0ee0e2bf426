#include "tools/ctr-run/exec_stop.hpp"

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

namespace ctrd::run {
namespace {

// One at a time, and in a signal handler: a stop for a signal, such as one from a stop job that came during the set-up,
// must be ended while we wait for the child's reports.
volatile std::sig_atomic_t traced = 0;
volatile std::sig_atomic_t over = 0; // stands at its exec, or is dead

constexpr int stopped_at_exec = SIGTRAP | PTRACE_EVENT_EXEC << 8;

/// True where the child has changed its state. Its death is left to be fetched when we end: only then does its parent,
/// the service manager, hear of it, and by then our message is in the journal.
bool look(int options) noexcept {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(traced), &info, options | __WALL) < 0 || info.si_pid == 0)
        return false;
    if (info.si_code != CLD_TRAPPED) {
        over = 1;
        return true;
    }
    // Taken off the queue, whatever it was.
    ::waitid(P_PID, static_cast<id_t>(traced), &info, WSTOPPED | WNOHANG | __WALL);
    if (info.si_status == stopped_at_exec)
        over = 1;
    else // a signal is passed on; another event has its number above the signal's
        ::ptrace(PTRACE_CONT, static_cast<pid_t>(traced), nullptr, info.si_status >> 8 == 0 ? info.si_status : 0);
    return true;
}

void on_child(int) {
    const int saved = errno;
    while (over == 0 && look(WSTOPPED | WEXITED | WNOWAIT | WNOHANG))
        ;
    errno = saved;
}

} // namespace

ExecStop::ExecStop(pid_t child) noexcept : child_{child} {
    traced = child;
    over = 0;
    struct sigaction action {};
    action.sa_handler = on_child;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGCHLD, &action, nullptr);
    attached_ = ::ptrace(PTRACE_SEIZE, child, nullptr, PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) == 0;
}

ExecStop::~ExecStop() {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGCHLD, &action, nullptr);
    if (attached_)
        ::ptrace(PTRACE_DETACH, child_, nullptr, 0);
}

void ExecStop::wait() const noexcept {
    sigset_t child_signal;
    sigset_t before;
    ::sigemptyset(&child_signal);
    ::sigaddset(&child_signal, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &child_signal, &before);
    while (attached_ && over == 0 && look(WSTOPPED | WEXITED | WNOWAIT))
        ;
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
}

} // namespace ctrd::run
