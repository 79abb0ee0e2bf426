// boot --lower DIR... --mount-point DIR [--bind|--bind-ro HOST:GUEST]... [--] [CMD ARG...]
//
// Boots systemd in fresh namespaces on an overlay over the given folders and runs CMD in it; see supervisor.hpp for
// who is whose parent. Descriptors above 2 that the caller leaves open (locks) stay open until the bed is gone.

#include "tools/testbed/boot/cgroup.hpp"
#include "tools/testbed/boot/command.hpp"

#include <csignal>
#include <filesystem>

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

using namespace testbed;

namespace {

struct Arguments {
    GuestSpec spec;
    std::vector<std::string> command;
};

Bind parse_bind(const std::string& text, bool read_only) {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos || colon + 1 >= text.size() || text[colon + 1] != '/')
        die(0, "--bind '" + text + "' is not HOST:GUEST with an absolute GUEST");
    std::error_code ec;
    const auto source = std::filesystem::canonical(text.substr(0, colon), ec);
    if (ec)
        die(ec.value(), "--bind: cannot use '" + text.substr(0, colon) + "'");
    return {source.string(), text.substr(colon + 1), read_only};
}

Arguments parse(int argc, char** argv) {
    Arguments result;
    int i = 1;
    for (; i < argc; ++i) {
        const std::string option = argv[i];
        if (!option.starts_with("--"))
            break;
        if (option == "--") {
            ++i;
            break;
        }
        if (i + 1 >= argc)
            die(0, "option '" + option + "' needs a value");
        const std::string value = argv[++i];
        if (option == "--lower")
            result.spec.lowers.push_back(value);
        else if (option == "--mount-point")
            result.spec.mount_point = value;
        else if (option == "--bind")
            result.spec.binds.push_back(parse_bind(value, false));
        else if (option == "--bind-ro")
            result.spec.binds.push_back(parse_bind(value, true));
        else
            die(0, "unknown option '" + option + "'");
    }
    result.command.assign(argv + i, argv + argc);
    if (result.command.empty())
        result.command = {"/bin/bash", "-l"};
    if (result.spec.lowers.empty() || result.spec.mount_point.empty())
        die(0, "--lower and --mount-point are needed");
    return result;
}

// Event, or nothing when the supervisor is gone.
std::optional<BedEvent> receive(int supervisor, Bed& bed) {
    BedMessage message;
    iovec payload{&message, sizeof message};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{.msg_iov = &payload, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (::recvmsg(supervisor, &header, MSG_CMSG_CLOEXEC) != sizeof message)
        return std::nullopt;
    bed.init = message.init;
    bed.cgroup = message.cgroup;
    if (const cmsghdr* attached = CMSG_FIRSTHDR(&header); attached != nullptr && attached->cmsg_type == SCM_RIGHTS) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(attached), sizeof fd);
        bed.pidfd = UniqueFd{fd};
    }
    return message.event;
}

// 0 when the bed is up.
int wait_for_boot(int supervisor, int signals, Bed& bed) {
    for (;;) {
        pollfd fds[] = {{supervisor, POLLIN, 0}, {signals, POLLIN, 0}};
        ::poll(fds, 2, -1);
        signalfd_siginfo info{};
        if (::read(signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGCHLD &&
            info.ssi_signo != SIGWINCH)
            return 128 + static_cast<int>(info.ssi_signo);
        if (fds[0].revents != 0)
            return receive(supervisor, bed) == BedEvent::booted ? 0 : bed_failed;
    }
}

// A bed with a failed unit is usable, but who looks at a strange result should know.
void report_failed_units(const Bed& bed, int signals) {
    run_in_bed(bed,
               {"/bin/sh", "-c",
                "exec >&2 </dev/null; state=$(systemctl is-system-running); [ \"$state\" = running ] || "
                "{ echo \"testbed: the bed is '$state'; failed units:\"; "
                "systemctl list-units --failed --plain --no-legend --no-pager; }"},
               signals, false);
}

bool ended_on_its_own(int supervisor, Bed& bed) {
    pollfd in{supervisor, POLLIN, 0};
    return ::poll(&in, 1, 500) > 0 && receive(supervisor, bed) != BedEvent::booted;
}

int run(const Arguments& arguments, int supervisor, int signals, Bed& bed) {
    if (const int status = wait_for_boot(supervisor, signals, bed); status != 0)
        return status;
    report_failed_units(bed, signals);
    const int status = run_in_bed(bed, arguments.command, signals, ::isatty(0) && ::isatty(1));
    if (status >= 128 && ended_on_its_own(supervisor, bed)) {
        complain(0, "the bed's systemd ended while the command ran");
        return bed_failed;
    }
    return status;
}

} // namespace

int main(int argc, char** argv) {
    const Arguments arguments = parse(argc, argv);
    const UniqueFd signals = make_signal_fd();
    int pair[2];
    must(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "cannot make a socket pair");
    UniqueFd ours{pair[0]}, theirs{pair[1]};
    const pid_t supervisor = ::fork();
    must(supervisor >= 0, "cannot fork");
    if (supervisor == 0) {
        ours.reset();
        supervise(arguments.spec, std::move(theirs));
    }
    theirs.reset();
    Bed bed{.supervisor = supervisor};
    const int status = run(arguments, ours.get(), signals.get(), bed);
    ours.reset(); // the supervisor's sign to tear down
    // A command that outlived its grace is reaped here too: PID 1 of the bed can't go before it.
    int ended = 0;
    while (::wait(&ended) != supervisor) {
    }
    if (WIFSIGNALED(ended) && !bed.cgroup.empty())
        remove_cgroup_tree(bed.cgroup);
    return status;
}
