// Prints which instructions of a program are executed, in the order of their first time: `bench order` makes the order
// of linking from it. Children are followed until they execute something else.
//
//     bench-steps PROGRAM [ARG...] > ADDRESSES
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <map>
#include <unordered_set>

namespace {

// A static program that is not position-independent is all below it; libraries, stack and vdso are far above.
constexpr unsigned long end_of_program = 1UL << 28;

void resume(pid_t pid, bool stepwise, int signal) {
    ::ptrace(stepwise ? PTRACE_SINGLESTEP : PTRACE_CONT, pid, nullptr,
             reinterpret_cast<void*>(static_cast<long>(signal)));
}

/// The first process may execute itself once more (sealed_start.cpp); a child that executes anything is the payload.
class Tracer {
public:
    explicit Tracer(pid_t first) : first_{first} {}

    void run() {
        int status = 0;
        for (pid_t pid = 0; (pid = ::waitpid(-1, &status, __WALL)) > 0;)
            if (WIFSTOPPED(status))
                stopped(pid, status);
    }

private:
    void stopped(pid_t pid, int status) {
        const int signal = WSTOPSIG(status);
        const bool is_payload = pid != first_ && (executed_[pid] || status >> 16 == PTRACE_EVENT_EXEC);
        executed_[pid] = is_payload;
        if (!is_payload)
            note(static_cast<unsigned long>(::ptrace(PTRACE_PEEKUSER, pid, offsetof(user_regs_struct, rip), nullptr)));
        resume(pid, !is_payload, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
    }

    void note(unsigned long address) {
        if (address < end_of_program && seen_.insert(address).second)
            std::printf("%lx\n", address);
    }

    pid_t first_;
    std::map<pid_t, bool> executed_{};
    std::unordered_set<unsigned long> seen_{};
};

} // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fputs("usage: bench-steps PROGRAM [ARG...]\n", stderr);
        return 2;
    }
    const pid_t child = ::fork();
    if (child == 0) {
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        const int null = ::dup(2);
        ::dup2(null, 1); // ours is for the addresses
        ::execv(argv[1], argv + 1);
        std::perror(argv[1]);
        ::_exit(127);
    }
    if (child < 0 || ::waitpid(child, nullptr, 0) != child ||
        ::ptrace(PTRACE_SETOPTIONS, child, nullptr,
                 PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
                     PTRACE_O_EXITKILL) < 0) {
        std::perror("bench-steps");
        return 1;
    }
    resume(child, true, 0);
    Tracer{child}.run();
    return 0;
}
