#include "ctrd/base/terminal_relay.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <optional>

namespace ctrd {
namespace {

/// Raw mode while it lives.
class RawTerminal {
public:
    RawTerminal() {
        if (::isatty(STDIN_FILENO) == 0 || ::tcgetattr(STDIN_FILENO, &before_) < 0)
            return;
        termios raw = before_;
        ::cfmakeraw(&raw);
        changed_ = ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
    }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
    ~RawTerminal() {
        if (changed_)
            ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
    }

private:
    termios before_{};
    bool changed_{false};
};

/// SIGWINCH for the size; the deadly ones so that the terminal is put back before they take effect; or all that can be
/// passed on.
class Signals {
public:
    explicit Signals(bool all) {
        sigset_t set = forwardable_signals();
        if (!all) {
            ::sigemptyset(&set);
            for (const int number : {SIGWINCH, SIGTERM, SIGHUP, SIGINT, SIGQUIT})
                ::sigaddset(&set, number);
        }
        ::sigprocmask(SIG_BLOCK, &set, &before_);
        fd_ = UniqueFd{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
    }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;
    ~Signals() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] int next() const {
        signalfd_siginfo info{};
        return ::read(fd_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
    }

private:
    UniqueFd fd_;
    sigset_t before_{};
};

enum class Moved { some, nothing, ended };

Moved move_bytes(int from, int to) {
    char buffer[8192];
    const ssize_t n = ::read(from, buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return Moved::nothing;
    if (n <= 0) // a master reads EIO when the last slave is closed
        return Moved::ended;
    return write_all(to, {buffer, static_cast<std::size_t>(n)}) ? Moved::some : Moved::ended;
}

void drain(int master) {
    pollfd waiting{master, POLLIN, 0};
    while (::poll(&waiting, 1, 0) > 0 && (waiting.revents & POLLIN) != 0)
        if (move_bytes(master, STDOUT_FILENO) == Moved::ended)
            return;
}

} // namespace

void copy_window_size(int master) noexcept {
    winsize size{};
    if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row != 0 && size.ws_col != 0)
        ::ioctl(master, TIOCSWINSZ, &size);
}

Result<void> relay_terminal(int master, int also_readable, const std::function<void(int)>& pass_on) {
    copy_window_size(master);
    const Signals signals{static_cast<bool>(pass_on)};
    int deadly = 0;
    {
        const RawTerminal raw;
        enum { from_master, from_signals, from_other, from_user, count };
        pollfd waiting[count] = {
            {master, POLLIN, 0}, {signals.fd(), POLLIN, 0}, {also_readable, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        while (deadly == 0) {
            if (::poll(waiting, count, -1) < 0 && errno != EINTR)
                return fail(os_error(errno, "cannot wait for the terminal"));
            if (waiting[from_signals].revents != 0) {
                const int number = signals.next();
                if (number == SIGWINCH)
                    copy_window_size(master);
                else if (number != 0 && pass_on)
                    pass_on(number);
                else if (number != 0)
                    deadly = number;
            }
            if (waiting[from_user].revents != 0 && move_bytes(STDIN_FILENO, master) == Moved::ended) {
                // End of our input is ^D to the payload; it decides what follows.
                [[maybe_unused]] auto written = write_all(master, "\x04");
                waiting[from_user].fd = -1;
            }
            if (waiting[from_master].revents != 0 && move_bytes(master, STDOUT_FILENO) == Moved::ended)
                return {};
            if (waiting[from_other].revents != 0) {
                drain(master);
                return {};
            }
        }
    }
    ::raise(deadly); // blocked until `signals` goes: the caller dies of it with the terminal in order
    return {};
}

namespace {

/// What the user has typed; true when they leave.
bool pass_typed(DetachKeys& keys, int stream, pollfd& user) {
    char buffer[4096];
    const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (n <= 0) {
        if (n == 0 || (errno != EINTR && errno != EAGAIN))
            user.fd = -1;
        return false;
    }
    const auto typed = keys.take({buffer, static_cast<std::size_t>(n)});
    if (!write_all(stream, typed.bytes))
        user.fd = -1; // its hang-up is seen by who reads from it
    return typed.detached;
}

} // namespace

Result<RelayEnd> relay_shared_terminal(const RelayPlan& plan) {
    copy_window_size(plan.window);
    DetachKeys keys = plan.detach_keys;
    const Signals signals{false};
    int deadly = 0;
    {
        const std::optional<RawTerminal> raw{plan.types ? std::optional<RawTerminal>{std::in_place} : std::nullopt};
        enum { from_stream, from_signals, from_user, count };
        pollfd waiting[count] = {
            {plan.stream, POLLIN, 0}, {signals.fd(), POLLIN, 0}, {plan.types ? STDIN_FILENO : -1, POLLIN, 0}};
        while (deadly == 0) {
            if (::poll(waiting, count, -1) < 0 && errno != EINTR)
                return fail(os_error(errno, "cannot wait for the terminal"));
            if (waiting[from_signals].revents != 0) {
                const int number = signals.next();
                if (number == SIGWINCH)
                    copy_window_size(plan.window);
                else
                    deadly = number;
            }
            if (waiting[from_user].revents != 0 && pass_typed(keys, plan.stream, waiting[from_user]))
                return RelayEnd::detached;
            if (waiting[from_stream].revents != 0 && move_bytes(plan.stream, STDOUT_FILENO) == Moved::ended)
                return RelayEnd::hung_up;
        }
    }
    ::raise(deadly); // blocked until `signals` goes
    return RelayEnd::detached;
}

} // namespace ctrd
