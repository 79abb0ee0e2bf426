#include "tools/ctrctl/signal_queue.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace ctrd::ctl {

Result<SignalQueue> SignalQueue::open(std::initializer_list<int> signals) {
    sigset_t wanted;
    sigset_t before;
    sigemptyset(&wanted);
    for (const int signal : signals)
        sigaddset(&wanted, signal);
    if (::sigprocmask(SIG_BLOCK, &wanted, &before) < 0)
        return fail(os_error(errno, "cannot block signals"));
    UniqueFd fd{::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK)};
    if (!fd)
        return fail(os_error(errno, "cannot make a signal descriptor"));
    return SignalQueue{std::move(fd), before};
}

void SignalQueue::restore_mask() const noexcept { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

std::optional<SignalQueue::Signal> SignalQueue::next() const {
    signalfd_siginfo info{};
    if (::read(fd_.get(), &info, sizeof info) != sizeof info)
        return std::nullopt;
    return Signal{static_cast<int>(info.ssi_signo), info.ssi_code == SI_KERNEL};
}

} // namespace ctrd::ctl
