#include "tools/testbed/boot/supervisor.hpp"

#include "tools/testbed/boot/cgroup.hpp"

#include <chrono>
#include <csignal>

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace testbed {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto boot_limit = std::chrono::seconds(120);
constexpr size_t console_kept = 8192;

struct Init {
    pid_t pid = -1;
    UniqueFd pidfd{};
};

Init clone_init(const GuestSpec& spec, const Guest& guest, const std::string& cgroup) {
    UniqueFd cgroup_fd{::open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    must(cgroup_fd.get() >= 0, "cannot open cgroup '" + cgroup + "'");
    int pidfd = -1;
    clone_args args{};
    args.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
                 CLONE_INTO_CGROUP | CLONE_PIDFD;
    args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<std::uint64_t>(cgroup_fd.get());
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    must(pid >= 0, "cannot create the bed's namespaces");
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::setsid();
        enter_guest_and_exec_init(spec, guest.root);
    }
    return {pid, UniqueFd{pidfd}};
}

void tell(int launcher, BedEvent event, const Init& init, const std::string& cgroup) {
    BedMessage message{.event = event, .init = init.pid};
    cgroup.copy(message.cgroup, sizeof message.cgroup - 1);
    iovec payload{&message, sizeof message};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{.msg_iov = &payload, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    cmsghdr* attached = CMSG_FIRSTHDR(&header);
    attached->cmsg_level = SOL_SOCKET;
    attached->cmsg_type = SCM_RIGHTS;
    attached->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = init.pidfd.get();
    std::memcpy(CMSG_DATA(attached), &fd, sizeof fd);
    ::sendmsg(launcher, &header, MSG_NOSIGNAL);
}

// True once systemd says that its first job queue is done.
bool says_ready(int notify) {
    char text[4096];
    const ssize_t n = ::recv(notify, text, sizeof text, MSG_DONTWAIT);
    return n > 0 && ("\n" + std::string(text, static_cast<size_t>(n))).contains("\nREADY=1");
}

void drain_console(int master, std::string& kept) {
    char text[4096];
    for (ssize_t n; (n = ::read(master, text, sizeof text)) > 0;)
        kept.append(text, static_cast<size_t>(n));
    if (kept.size() > console_kept)
        kept.erase(0, kept.size() - console_kept);
}

int remaining_ms(Clock::time_point deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return left > 0 ? static_cast<int>(left) : 0;
}

void complain_about_boot(bool timed_out, const std::string& console) {
    complain(0, timed_out ? "the bed did not finish booting within 120 s; its console said:"
                          : "the bed's systemd ended before the boot was done; its console said:");
    std::fprintf(stderr, "%s\n", console.c_str());
}

// Returns when the launcher or PID 1 is gone, or the boot took too long.
void watch(int launcher, Guest& guest, const Init& init, const std::string& cgroup) {
    std::string console;
    bool booted = false;
    const auto deadline = Clock::now() + boot_limit;
    for (;;) {
        pollfd fds[] = {{launcher, POLLIN, 0},
                        {init.pidfd.get(), POLLIN, 0},
                        {guest.notify.get(), POLLIN, 0},
                        {guest.console.get(), POLLIN, 0}};
        ::poll(fds, 4, booted ? -1 : remaining_ms(deadline));
        if (fds[3].revents & POLLIN)
            drain_console(guest.console.get(), console);
        // No one has the console open for a moment: the hang-up would be reported over and over.
        if ((fds[3].revents & (POLLHUP | POLLIN)) == POLLHUP)
            ::usleep(20'000);
        if (fds[0].revents != 0)
            return;
        if (fds[1].revents != 0 || (!booted && remaining_ms(deadline) == 0)) {
            if (!booted)
                complain_about_boot(fds[1].revents == 0, console);
            tell(launcher, BedEvent::ended, init, cgroup);
            return;
        }
        if ((fds[2].revents & POLLIN) && says_ready(guest.notify.get()) && !std::exchange(booted, true))
            tell(launcher, BedEvent::booted, init, cgroup);
    }
}

void detach_from_terminal() {
    ::setsid();
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE})
        ::signal(signal, SIG_IGN);
    // Who reads the command's output must see its end when the command ends, not when the bed is gone.
    UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    ::dup2(null.get(), 0);
    ::dup2(null.get(), 1);
}

} // namespace

void supervise(const GuestSpec& spec, UniqueFd launcher) {
    detach_from_terminal();
    must(::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0,
         "cannot make a private mount namespace (it takes root, and a '/' that is a mount point)");
    const std::string cgroup2 = find_cgroup2(spec.mount_point + "-cgroup");
    remove_stale_cgroups(cgroup2);
    Guest guest = build_guest(spec);
    const BedCgroup own = make_bed_cgroup(cgroup2);
    const std::string& cgroup = own.path;
    const Init init = clone_init(spec, guest, cgroup);
    watch(launcher.get(), guest, init, cgroup);
    // With PID 1 every process of its namespace dies. It can't be reaped before the command is, which whoever reaps
    // for a killed launcher may be slow to do: that is worth a second, but no more.
    ::syscall(SYS_pidfd_send_signal, init.pidfd.get(), SIGKILL, nullptr, 0);
    if (!remove_cgroup_tree(cgroup))
        complain(0, "cgroup '" + cgroup + "' could not be removed");
    pollfd gone{init.pidfd.get(), POLLIN, 0};
    ::poll(&gone, 1, 1000);
    ::waitpid(init.pid, nullptr, WNOHANG);
    ::_exit(0);
}

} // namespace testbed
