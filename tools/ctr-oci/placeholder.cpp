#include "tools/ctr-oci/placeholder.hpp"

#include "ctrd/base/process.hpp"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

namespace ctrd::ctr_oci {
namespace {

/// In our memory, beside us: nothing of the C library but bare system calls that do not fail.
int stay(void* parent) noexcept {
    ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::syscall(SYS_getppid) != *static_cast<pid_t*>(parent))
        return 0; // it has died before that
    for (;;)
        ::syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
}

} // namespace

Result<Placeholder> Placeholder::make() {
    alignas(16) static std::array<char, 16384> stack;
    static pid_t parent = 0;
    parent = ::getpid();
    int pidfd = -1;
    // Whatever is sent to our group is not meant for it.
    sigset_t all, before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    const int pid = ::clone(stay, stack.data() + stack.size(),
                            CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_PIDFD | SIGCHLD, &parent, &pidfd);
    const int err = errno;
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0)
        return fail(os_error(err, "cannot make a process for the scope"));
    return Placeholder{pid, pidfd};
}

Placeholder::Placeholder(Placeholder&& other) noexcept
    : pid_{std::exchange(other.pid_, -1)}, pidfd_{std::move(other.pidfd_)} {}

Placeholder::~Placeholder() {
    if (pid_ < 0)
        return;
    ::kill(pid_, SIGKILL);
    [[maybe_unused]] auto reaped = wait_exit(pid_);
}

} // namespace ctrd::ctr_oci
