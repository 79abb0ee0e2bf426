#include "tools/testbed/boot/command.hpp"

#include <chrono>
#include <csignal>

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>

namespace testbed {
namespace {

constexpr auto grace = std::chrono::seconds(10);

sigset_t watched_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCHLD})
        sigaddset(&set, signal);
    return set;
}

// The launcher's own terminal in raw mode, and the pty in the bed that mirrors it.
class Terminal {
public:
    explicit Terminal(const Bed& bed) {
        const std::string ptmx = "/proc/" + std::to_string(bed.init) + "/root/dev/pts/ptmx";
        master_ = UniqueFd{::open(ptmx.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC)};
        must(master_.get() >= 0 && ::unlockpt(master_.get()) == 0 && ::ioctl(master_.get(), TIOCGPTN, &number_) == 0,
             "cannot open a pty in the bed");
        must(::tcgetattr(0, &saved_) == 0, "cannot read the terminal's settings");
        ::tcsetattr(master_.get(), TCSANOW, &saved_);
        termios raw = saved_;
        ::cfmakeraw(&raw);
        ::tcsetattr(0, TCSADRAIN, &raw);
        follow_size();
    }
    ~Terminal() { ::tcsetattr(0, TCSADRAIN, &saved_); }
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    [[nodiscard]] int master() const noexcept { return master_.get(); }
    [[nodiscard]] std::string slave() const { return "/dev/pts/" + std::to_string(number_); }
    void follow_size() const noexcept {
        winsize size{};
        if (::ioctl(0, TIOCGWINSZ, &size) == 0)
            ::ioctl(master_.get(), TIOCSWINSZ, &size);
    }

private:
    UniqueFd master_{};
    unsigned number_ = 0;
    termios saved_{};
};

// False at the end of `from`.
bool copy_some(int from, int to) {
    char data[16384];
    const ssize_t n = ::read(from, data, sizeof data);
    if (n <= 0)
        return n < 0 && (errno == EINTR || errno == EAGAIN);
    for (ssize_t done = 0; done < n;) {
        const ssize_t m = ::write(to, data + done, static_cast<size_t>(n - done));
        if (m < 0 && errno != EINTR)
            return false;
        if (m > 0)
            done += m;
    }
    return true;
}

void take_terminal(const std::string& slave) {
    UniqueFd tty{::open(slave.c_str(), O_RDWR | O_CLOEXEC)};
    must(tty.get() >= 0 && ::ioctl(tty.get(), TIOCSCTTY, 0) == 0, "cannot take '" + slave + "' as the terminal");
    for (int fd : {0, 1, 2})
        ::dup2(tty.get(), fd);
}

[[noreturn]] void become_command(const Bed& bed, const std::vector<std::string>& argv, const std::string& slave) {
    constexpr int rest = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    must(::setns(bed.pidfd.get(), rest) == 0, "cannot enter the bed");
    const sigset_t watched = watched_signals();
    ::sigprocmask(SIG_UNBLOCK, &watched, nullptr);
    // A shell has its background jobs ignore these two; the command gets them from us, on purpose.
    for (int signal : {SIGINT, SIGQUIT})
        ::signal(signal, SIG_DFL);
    ::setsid();
    if (!slave.empty())
        take_terminal(slave);
    const char* term = std::getenv("TERM");
    const std::string term_text = std::string("TERM=") + (term != nullptr ? term : "dumb");
    must(::clearenv() == 0 && ::chdir("/root") == 0, "cannot enter '/root' of the bed");
    for (const char* entry : {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                              "USER=root", "LOGNAME=root", "SHELL=/bin/bash", "LANG=C.UTF-8"})
        ::putenv(const_cast<char*>(entry));
    ::putenv(const_cast<char*>(term_text.c_str()));
    std::vector<char*> args;
    for (const auto& arg : argv)
        args.push_back(const_cast<char*>(arg.c_str()));
    args.push_back(nullptr);
    ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    ::execvp(args[0], args.data());
    const int why = errno;
    complain(why, "cannot execute '" + argv[0] + "' in the bed");
    ::_exit(why == ENOENT ? 127 : 126);
}

pid_t spawn(const Bed& bed, const std::vector<std::string>& argv, const std::string& slave) {
    // A cgroup of its own, outside every unit: systemd's root has controllers enabled, so it can hold no process.
    // By the supervisor's eyes: where the host has no cgroup2, only the supervisor has mounted it.
    const std::string cgroup = "/proc/" + std::to_string(bed.supervisor) + "/root" + bed.cgroup + "/testbed";
    must(::mkdir(cgroup.c_str(), 0755) == 0 || errno == EEXIST, "cannot create cgroup '" + cgroup + "'");
    // A soft-reboot of the bed is to end everything but the command that watches it.
    must(::setxattr(cgroup.c_str(), "user.survive_final_kill_signal", "1", 1, 0) == 0, "cannot mark '" + cgroup + "'");
    UniqueFd cgroup_fd{::open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    // A process's own PID namespace never changes: this is for the children.
    must(::setns(bed.pidfd.get(), CLONE_NEWPID) == 0, "cannot enter the bed's PID namespace");
    clone_args args{};
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<std::uint64_t>(cgroup_fd.get());
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    must(pid >= 0, "cannot start a process in the bed");
    if (pid == 0)
        become_command(bed, argv, slave);
    return pid;
}

struct Pending {
    int signal = 0; // the first one to end us, 0 if none came
    std::chrono::steady_clock::time_point until{};
};

void take_signal(int signals, pid_t command, const Terminal* terminal, Pending& pending) {
    signalfd_siginfo info{};
    if (::read(signals, &info, sizeof info) != sizeof info)
        return;
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD)
        return;
    if (signal == SIGWINCH) {
        if (terminal != nullptr)
            terminal->follow_size();
        return;
    }
    ::kill(-command, signal);
    if (pending.signal == 0)
        pending = {signal, std::chrono::steady_clock::now() + grace};
}

// What the command wrote before it ended is still in the pty; a left-over background process may keep that open.
void flush(const Terminal& terminal) {
    pollfd out{terminal.master(), POLLIN, 0};
    while (::poll(&out, 1, 0) > 0 && (out.revents & POLLIN) && copy_some(terminal.master(), 1)) {
    }
}

int to_exit_code(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

} // namespace

UniqueFd make_signal_fd() {
    const sigset_t watched = watched_signals();
    must(::sigprocmask(SIG_BLOCK, &watched, nullptr) == 0, "cannot block signals");
    UniqueFd fd{::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK)};
    must(fd.get() >= 0, "cannot make a signal descriptor");
    return fd;
}

int run_in_bed(const Bed& bed, const std::vector<std::string>& argv, int signals, bool use_terminal) {
    std::optional<Terminal> terminal;
    if (use_terminal)
        terminal.emplace(bed);
    const Terminal* shown = terminal ? &*terminal : nullptr;
    const pid_t command = spawn(bed, argv, shown != nullptr ? shown->slave() : "");
    Pending pending;
    int stdin_fd = shown != nullptr ? 0 : -1;
    int master = shown != nullptr ? shown->master() : -1;
    for (;;) {
        int status = 0;
        if (::waitpid(command, &status, WNOHANG) == command) {
            if (shown != nullptr)
                flush(*shown);
            return to_exit_code(status);
        }
        if (pending.signal != 0 && std::chrono::steady_clock::now() > pending.until)
            return 128 + pending.signal;
        pollfd fds[] = {{signals, POLLIN, 0}, {stdin_fd, POLLIN, 0}, {master, POLLIN, 0}};
        ::poll(fds, 3, pending.signal != 0 ? 200 : -1);
        if (fds[0].revents != 0)
            take_signal(signals, command, shown, pending);
        if (fds[1].revents != 0 && !copy_some(0, master))
            stdin_fd = -1;
        if (fds[2].revents != 0 && !copy_some(master, 1))
            master = -1;
    }
}

} // namespace testbed
