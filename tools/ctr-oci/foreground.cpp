#include "tools/ctr-oci/foreground.hpp"

#include "ctrd/base/hearing.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/base/terminal_relay.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>

namespace ctrd::ctr_oci {
namespace {

/// PID 1 of a namespace never gets a signal that it neither catches nor waits for: what should end such a payload ends
/// it.
void pass_on(pid_t pid, int pidfd, int number) {
    const bool is_deadly = number == SIGTERM || number == SIGHUP || number == SIGINT || number == SIGQUIT;
    const auto hearing = is_deadly ? read_hearing(pid) : Result<Hearing>{};
    const bool is_deaf = is_deadly && hearing && !would_act_on(number, *hearing);
    [[maybe_unused]] auto sent = send_signal(pidfd, is_deaf ? SIGKILL : number);
}

Result<void> relay(int console, pid_t pid, int pidfd) {
    FdMessage message = TRY(receive_fds(console, 4096));
    if (message.fds.size() != 1)
        return fail(os_error(EPROTO, "the container sent no terminal"));
    return relay_terminal(message.fds.front().get(), pidfd, [=](int number) { pass_on(pid, pidfd, number); });
}

Result<void> forward_until_end(int signals, pid_t pid, int pidfd) {
    while (true) {
        pollfd waiting[2] = {{pidfd, POLLIN, 0}, {signals, POLLIN, 0}};
        if (::poll(waiting, 2, -1) < 0 && errno != EINTR)
            return fail(os_error(errno, "cannot wait for the container"));
        if (waiting[0].revents != 0)
            return {};
        signalfd_siginfo info{};
        if (waiting[1].revents != 0 && ::read(signals, &info, sizeof info) == sizeof info)
            pass_on(pid, pidfd, static_cast<int>(info.ssi_signo));
    }
}

} // namespace

std::optional<oci::ConsoleSize> own_console_size() noexcept {
    winsize size{};
    // A terminal of no size is one that nobody has set: what a configuration says is better.
    if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
        return std::nullopt;
    return oci::ConsoleSize{size.ws_row, size.ws_col};
}

Foreground::Foreground(int console) : console_{console} {
    const sigset_t set = forwardable_signals();
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    if (console_ < 0)
        signals_ = UniqueFd{::signalfd(-1, &set, SFD_CLOEXEC)};
}

Result<int> Foreground::wait(pid_t pid, int pidfd) const {
    TRY_VOID(console_ >= 0 ? relay(console_, pid, pidfd) : forward_until_end(signals_.get(), pid, pidfd));
    return wait_exit(pid);
}

} // namespace ctrd::ctr_oci
