// ctr-init STOP-SIGNAL STOP-TIMEOUT PROGRAM [ARG...]: PID 1 of a container that is declared with init = true.
//
// A program that is made to run beside others does badly as PID 1: what its children leave behind stays, and a signal
// that it does not catch is lost on it. ctr-init runs it as its child, takes what nobody waits for, passes signals on,
// and knows what systemd-machined means by its own:
//
//     SIGTERM                     end: the payload gets STOP-SIGNAL; our exit status is its own
//     SIGRTMIN+3, SIGRTMIN+4      the same (machinectl poweroff); exit status 194
//     SIGINT, SIGRTMIN+5          the same (machinectl reboot); exit status 195
//
// The unit's settings say what these exit statuses mean. What has not ended STOP-TIMEOUT milliseconds (0: for ever)
// later is killed. It is not of the image: ctr-run executes it by a descriptor.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int wrong_usage = 64;
// Above 128 + any signal, and below what systemd itself uses.
constexpr int powered_off = 194;
constexpr int rebooting = 195;

enum class Ending { none, stop, poweroff, reboot };

struct Payload {
    pid_t pid;
    int stop_signal;
    long stop_timeout; // milliseconds
};

/// "LISTEN_PID=1" was right for who would have been PID 1.
void correct_listen_pid() {
    if (std::getenv("LISTEN_PID") == nullptr)
        return;
    char number[16];
    std::snprintf(number, sizeof number, "%d", ::getpid());
    ::setenv("LISTEN_PID", number, 1);
}

[[noreturn]] void become_payload(char** argv, const sigset_t& mask) {
    correct_listen_pid();
    ::sigprocmask(SIG_SETMASK, &mask, nullptr);
    ::execvp(argv[0], argv);
    const int err = errno;
    std::fprintf(stderr, "ctr-init: cannot run '%s': %s\n", argv[0], std::strerror(err));
    ::_exit(err == ENOENT ? 127 : 126);
}

/// Of everything that has ended; true when the payload was among it.
bool reap(pid_t payload, int& status) {
    bool over = false;
    int one = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &one, WNOHANG | __WALL)) > 0;)
        if (pid == payload) {
            status = one;
            over = true;
        }
    return over;
}

Ending meaning_of(int signal) {
    if (signal == SIGTERM)
        return Ending::stop;
    if (signal == SIGRTMIN + 3 || signal == SIGRTMIN + 4)
        return Ending::poweroff;
    return signal == SIGINT || signal == SIGRTMIN + 5 ? Ending::reboot : Ending::none;
}

int exit_status(Ending ending, int status, int stop_signal) {
    if (ending == Ending::poweroff)
        return powered_off;
    if (ending == Ending::reboot)
        return rebooting;
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    // Who was told to end by this signal, and did, has done what it should.
    return ending == Ending::stop && WTERMSIG(status) == stop_signal ? 0 : 128 + WTERMSIG(status);
}

/// What a terminal sends goes to all of its foreground, so the payload has it already.
bool is_from_terminal(const siginfo_t& info) { return info.si_code == SI_KERNEL && info.si_signo != SIGCHLD; }

long milliseconds_now() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

/// The next signal; 0 when `deadline` (0: none) has come.
int next_signal(const sigset_t& all, long deadline, siginfo_t& info) {
    if (deadline == 0)
        return ::sigwaitinfo(&all, &info);
    const long left = deadline > milliseconds_now() ? deadline - milliseconds_now() : 0;
    const timespec timeout{left / 1000, left % 1000 * 1'000'000};
    const int signal = ::sigtimedwait(&all, &info, &timeout);
    return signal < 0 && errno == EAGAIN ? 0 : signal;
}

int look_after(const Payload& payload, const sigset_t& all) {
    Ending ending = Ending::none;
    long deadline = 0;
    for (;;) {
        siginfo_t info{};
        const int signal = next_signal(all, deadline, info);
        if (signal == 0) {
            ::kill(-1, SIGKILL);
            deadline = 0;
        } else if (signal == SIGCHLD) {
            if (int status = 0; reap(payload.pid, status))
                return exit_status(ending, status, payload.stop_signal);
        } else if (signal < 0 || is_from_terminal(info)) {
            continue;
        } else if (const Ending asked = meaning_of(signal); asked != Ending::none) {
            ending = asked;
            ::kill(payload.pid, payload.stop_signal);
            if (deadline == 0 && payload.stop_timeout > 0)
                deadline = milliseconds_now() + payload.stop_timeout;
        } else {
            ::kill(payload.pid, signal);
        }
    }
}

} // namespace

int main(int argc, char** argv) {
    const int stop_signal = argc > 3 ? std::atoi(argv[1]) : 0;
    if (stop_signal <= 0 || ::getpid() != 1) {
        std::fputs("ctr-init is PID 1 of a container that is declared with init = true; ctr-run starts it\n", stderr);
        return wrong_usage;
    }
    sigset_t all, before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t pid = ::fork();
    if (pid == 0)
        become_payload(argv + 3, before);
    if (pid < 0) {
        std::fprintf(stderr, "ctr-init: cannot start the payload: %s\n", std::strerror(errno));
        return 125;
    }
    return look_after({pid, stop_signal, std::atol(argv[2])}, all);
}
