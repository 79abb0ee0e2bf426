#include "ctrd/runtime/child.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ctrd::runtime {
namespace {

/// In a new user namespace we are nobody until the maps are written; with them we become its root.
int become_namespace_root(const ChildContext& context) noexcept {
    if (!context.plan->in_user_namespace)
        return 0;
    return ::setresgid(0, 0, 0) < 0 || ::setresuid(0, 0, 0) < 0 ? errno : 0;
}

/// What the parent says. Its death before that is ours: a start leaves no trace.
Stage next_stage(const ChildContext& context) noexcept {
    Report message{};
    ssize_t n = -1;
    do
        n = ::read(context.sync, &message, sizeof message);
    while (n < 0 && errno == EINTR);
    if (n != sizeof message)
        ::_exit(1);
    return message.stage;
}

/// One message with one descriptor, which is above those that the payload gets.
int receive_connection(const ChildContext& context, ConnectionReport& said) noexcept {
    iovec part{&said, sizeof said};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t n = -1;
    do
        n = ::recvmsg(context.sync, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (n != sizeof said || said.report.stage != Stage::connection || header == nullptr ||
        header->cmsg_type != SCM_RIGHTS)
        ::_exit(1);
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    const int above = ::fcntl(fd, F_DUPFD_CLOEXEC, static_cast<int>(4 + context.pass_count));
    if (above >= 0) // else the error is told, and all ends
        ::close(fd);
    return above;
}

void take_connection(ChildContext& context) noexcept {
    if (!report(context, Stage::prepared, 0, 0))
        ::_exit(1);
    ConnectionReport said;
    context.connection = receive_connection(context, said);
    // Whatever fails here the payload would not get its connection: then it must not run.
    if (context.connection < 0)
        give_up_early(context, Stage::identity_failed, static_cast<std::uint32_t>(IdentityStep::descriptors), errno);
    if (context.takes_connection == TakesConnection::stdio)
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO})
            if (::dup2(context.connection, fd) < 0)
                give_up_early(context, Stage::identity_failed, static_cast<std::uint32_t>(IdentityStep::descriptors),
                              errno);
    const PeerEnvironment& names = context.payload->peer;
    if (said.address[0] == '\0') {
        *names.first = nullptr; // they are the last ones
        return;
    }
    std::memcpy(names.address, said.address, sizeof said.address);
    std::memcpy(names.port, said.port, sizeof said.port);
}

} // namespace

void wait_for(const ChildContext& context, Stage stage) noexcept {
    if (next_stage(context) != stage)
        ::_exit(1);
}

int send_descriptor(int socket, const void* data, std::size_t size, int fd) noexcept {
    iovec part{const_cast<void*>(data), size};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return ::sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? errno : 0;
}

bool report(const ChildContext& context, Stage stage, std::uint32_t index, int error) noexcept {
    const Report message{stage, index, error};
    // write(2), not send(2): the payload's seccomp profile may be loaded already, and every profile allows write.
    return ::write(context.sync, &message, sizeof message) == sizeof message;
}

void give_up(const ChildContext& context, Stage stage, std::uint32_t index, int error) noexcept {
    report(context, stage, index, error);
    ::_exit(127);
}

void give_up_early(const ChildContext& context, Stage stage, std::uint32_t index, int error) noexcept {
    report(context, stage, index, error);
    while (next_stage(context) != Stage::go)
        ; // a connection that is no longer wanted
    ::_exit(127);
}

void run_first_process(ChildContext& context) noexcept {
    ::close(context.parent_end);
    if (context.waits_to_begin)
        wait_for(context, Stage::begin);
    if (!context.plan->uid_mappings.empty())
        ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); // the others are not from birth: Container::spawn
    ::umask(0);
    if (const int err = become_namespace_root(context); err != 0)
        give_up_early(context, Stage::identity_failed, static_cast<std::uint32_t>(IdentityStep::ids), err);
    const auto& steps = context.plan->steps;
    for (std::uint32_t i = 0; i < steps.size(); ++i)
        if (const int err = apply_step(context, steps[i], context.prepared->sources[i]); err != 0)
            give_up_early(context, Stage::step_failed, i, err);
    if (context.takes_connection != TakesConnection::no)
        take_connection(context);
    wait_for(context, Stage::go);
    become_payload(context);
}

void run_exec_process(ChildContext& context) noexcept {
    const auto must = [&](IdentityStep step, int err) {
        if (err != 0)
            give_up(context, Stage::identity_failed, static_cast<std::uint32_t>(step), err);
    };
    ::close(context.parent_end);
    wait_for(context, Stage::go);
    ::umask(0);
    must(IdentityStep::join, ::setns(context.join_pidfd, context.join_flags) < 0 ? errno : 0);
    if (context.in_user_namespace)
        must(IdentityStep::join, ::setresgid(0, 0, 0) < 0 || ::setresuid(0, 0, 0) < 0 ? errno : 0);
    context.root = ::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    must(IdentityStep::join, context.root < 0 ? errno : 0);
    if (context.terminal >= 0)
        must(IdentityStep::terminal,
             ::fchown(context.terminal, context.process->process.user.uid, static_cast<gid_t>(-1)) < 0 ? errno : 0);
    else if (context.process->process.terminal)
        must(IdentityStep::terminal, open_terminal(context, context.process->process.console_size));
    become_payload(context);
}

} // namespace ctrd::runtime
