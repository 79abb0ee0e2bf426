#include "ctrd/base/rooted.hpp"
#include "ctrd/runtime/child.hpp"
#include "ctrd/runtime/mount_api.hpp"

#include "ctrd/plan/bind_filter.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace ctrd::runtime {
namespace {

constexpr std::uint32_t last_kernel_capability = 63;

/// 0 or an errno, from a call that answers -1 and errno.
int check(long result) noexcept { return result < 0 ? errno : 0; }

int start_session(ChildContext& context) noexcept {
    // A shell that starts us in the foreground may have made us a group leader already: no matter.
    if (::setsid() < 0 && errno != EPERM)
        return errno;
    if (context.output >= 0 && (::dup2(context.output, STDOUT_FILENO) < 0 || ::dup2(context.output, STDERR_FILENO) < 0))
        return errno;
    if (context.terminal < 0)
        return 0;
    if (::ioctl(context.terminal, TIOCSCTTY, 0) < 0)
        return errno;
    for (int fd = 0; fd < 3; ++fd)
        if (::dup2(context.terminal, fd) < 0)
            return errno;
    return 0;
}

int make_keyring(bool wanted) noexcept {
    // ENOSYS: a kernel without keys has none to keep apart.
    if (!wanted || ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0 || errno == ENOSYS)
        return 0;
    return errno;
}

/// The folder is made if the image lacks it, as every runtime does; entered by a descriptor that openat2 resolved in
/// our root, so "/proc/self/fd/7" as cwd can't lead out (CVE-2024-21626).
int enter_cwd(const ChildContext& context) noexcept {
    const char* path = context.process->process.cwd.c_str();
    const int folder = context.plan != nullptr ? rooted::make_dirs_raw(context.root, path, 0755)
                                               : rooted::open_raw(context.root, path, O_PATH | O_DIRECTORY);
    if (folder < 0 || ::fchdir(folder) < 0)
        return errno;
    ::close(folder);
    return 0;
}

/// By number: "self" is a symbolic link.
int write_own_attribute(const char* file, const char* text, std::size_t length) noexcept {
    char path[64];
    std::snprintf(path, sizeof path, "%d/attr/%s", ::getpid(), file);
    return write_proc(path, text, length);
}

int set_apparmor(const std::string& profile) noexcept {
    if (profile.empty())
        return 0;
    char text[512] = "exec ";
    const std::size_t length = 5 + profile.size();
    if (length >= sizeof text)
        return ENAMETOOLONG;
    std::memcpy(text + 5, profile.data(), profile.size());
    // The second name is that of kernels without stacked security modules.
    for (const char* file : {"apparmor/exec", "exec"})
        if (const int err = write_own_attribute(file, text, length); err != ENOENT)
            return err;
    return ENOENT;
}

int set_selinux(const std::string& label) noexcept {
    return label.empty() ? 0 : write_own_attribute("exec", label.data(), label.size());
}

int set_personality(const std::optional<unsigned long>& domain) noexcept {
    return domain ? check(::syscall(SYS_personality, *domain)) : 0;
}

int set_memory_policy(const ChildContext& context) noexcept {
    const auto& policy = context.process->memory_policy;
    if (!policy)
        return 0;
    const auto& nodes = context.payload->memory_nodes;
    // One bit more than there are: the kernel counts that way.
    const unsigned long bits = nodes.empty() ? 0 : nodes.size() * 8 * sizeof(unsigned long) + 1;
    return check(::syscall(SYS_set_mempolicy, policy->mode, nodes.empty() ? nullptr : nodes.data(), bits));
}

/// With rules that notify there is a listener: the parent fetches it while we wait.
int load_profile(const ChildContext& context) noexcept {
    if (!context.payload->seccomp)
        return 0;
    const auto& filter = *context.payload->seccomp;
    const sock_fprog program{static_cast<unsigned short>(filter.program.size()),
                             const_cast<sock_filter*>(filter.program.data())};
    const auto result = static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter.flags, &program));
    if (result < 0)
        return errno;
    if ((filter.flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0)
        return 0;
    if (!report(context, Stage::seccomp_fd, static_cast<std::uint32_t>(result), 0))
        ::_exit(1);
    wait_for(context, Stage::go_on);
    ::close(result);
    return 0;
}

/// Loads the bind filter and hands its listener to the parent.
int intercept_bind(const ChildContext& context) noexcept {
    if (!context.intercept_bind)
        return 0;
    const auto filter = plan::bind_filter();
    const sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
    const auto listener =
        static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
    if (listener < 0)
        return errno;
    const Report text{Stage::notify_fd, 0, 0};
    const int err = send_descriptor(context.sync, &text, sizeof text, listener);
    ::close(listener);
    return err;
}

int drop_bounding(std::uint64_t keep) noexcept {
    for (std::uint32_t cap = 0; cap <= last_kernel_capability; ++cap) {
        if ((keep >> cap & 1) != 0)
            continue;
        if (::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return errno == EINVAL ? 0 : errno; // past the last one that this kernel has
    }
    return 0;
}

/// CVE class 9: inheritable is only ever what ambient needs; a config that asks for more does not get it.
int set_capabilities(const oci::Capabilities& sets) noexcept {
    const std::uint64_t inheritable = sets.ambient & sets.permitted;
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    for (unsigned half = 0; half < 2; ++half) {
        data[half].effective = static_cast<std::uint32_t>(sets.effective >> (32 * half));
        data[half].permitted = static_cast<std::uint32_t>(sets.permitted >> (32 * half));
        data[half].inheritable = static_cast<std::uint32_t>(inheritable >> (32 * half));
    }
    if (::syscall(SYS_capset, &header, data) < 0)
        return errno;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return errno;
    for (std::uint32_t cap = 0; cap <= last_kernel_capability; ++cap)
        if ((inheritable >> cap & 1) != 0 && ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            return errno;
    return 0;
}

/// A capability that we don't have ourselves can't be given: what a runtime without CAP_SYS_RESOURCE is asked for
/// must not fail the start of everything.
oci::Capabilities within_our_own(oci::Capabilities sets) noexcept {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    if (::syscall(SYS_capget, &header, data) < 0)
        return sets;
    const std::uint64_t own = data[0].permitted | static_cast<std::uint64_t>(data[1].permitted) << 32;
    sets.permitted &= own;
    sets.effective &= own;
    sets.ambient &= own;
    return sets;
}

int set_groups(const ChildContext& context) noexcept {
    if (context.process->keep_groups)
        return 0;
    const auto& groups = context.payload->groups;
    // glibc's setgroups would signal threads that don't exist here; the system call is what we mean.
    if (::syscall(SYS_setgroups, groups.size(), groups.data()) == 0)
        return 0;
    // Without privileges the kernel forbids setgroups in a user namespace: then there is nothing to drop to.
    return errno == EPERM && groups.empty() && ::getgroups(0, nullptr) <= 1 ? 0 : errno;
}

int set_ids(const oci::User& user) noexcept {
    if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return errno;
    if (::syscall(SYS_setresgid, user.gid, user.gid, user.gid) < 0 ||
        ::syscall(SYS_setresuid, user.uid, user.uid, user.uid) < 0)
        return errno;
    return check(::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0));
}

/// pass_fds become 3, 4, ..., our socket the next, and everything above is closed, whatever opened it. To close on exec
/// would be too late: a program named "/proc/self/fd/9/../../bin/sh" is looked up before that, and a folder of the
/// host among them would lead to the host's files (CVE-2024-21626).
int arrange_descriptors(ChildContext& context) noexcept {
    const int last = static_cast<int>(3 + context.pass_count);
    if (context.sync < last && (context.sync = ::fcntl(context.sync, F_DUPFD_CLOEXEC, last)) < 0)
        return errno;
    for (unsigned i = 0; i < context.pass_count; ++i)
        if (context.pass_fds[i] < 0)
            ::close(static_cast<int>(3 + i)); // whatever of ours has that number
        else if (::dup2(context.pass_fds[i], static_cast<int>(3 + i)) < 0)
            return errno;
    if (context.sync != last && ::dup3(context.sync, last, O_CLOEXEC) < 0)
        return errno;
    context.sync = last;
    // What is still needed until the exec are files, which lead nowhere: the state for the startContainer hooks, and
    // the program that becomes PID 1. They were opened in this order, so neither is moved over the other.
    int next = last + 1;
    for (int* kept : {&context.created_state, &context.init}) {
        if (*kept < 0)
            continue;
        if (*kept != next && ::dup3(*kept, next, O_CLOEXEC) < 0)
            return errno;
        *kept = next++;
    }
    return check(::syscall(SYS_close_range, next, ~0U, 0));
}

/// Late, so that none of them hampers the set-up.
void set_limits(const ChildContext& context) noexcept {
    const auto& limits = context.process->process.rlimits;
    for (std::uint32_t i = 0; context.sets_limits && i < limits.size(); ++i) {
        const rlimit value{limits[i].soft, limits[i].hard};
        if (::setrlimit(static_cast<__rlimit_resource>(limits[i].resource), &value) < 0)
            give_up(context, Stage::limit_failed, i, errno);
    }
}

void write_listen_pid(char* digits) noexcept {
    if (digits == nullptr)
        return;
    char reversed[12];
    std::size_t count = 0;
    for (auto pid = ::getpid(); pid > 0; pid /= 10)
        reversed[count++] = static_cast<char>('0' + pid % 10);
    for (std::size_t i = 0; i < count; ++i)
        digits[i] = reversed[count - 1 - i];
    digits[count] = '\0';
}

/// ENOENT, or EACCES for what is no program whoever runs it. Whatever else can be wrong shows at the exec: what root
/// may not look at is not root's to judge, and neither is what a magic link leads to, as descriptors of the host are
/// still open here. We are in the container's root: nothing else leads out of it.
int check_program(int folder, const char* path) noexcept {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_NO_MAGICLINKS;
    const auto fd = static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof how));
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? ENOENT : 0;
    struct stat file {};
    const bool known = ::fstat(fd, &file) == 0;
    ::close(fd);
    return !known || (S_ISREG(file.st_mode) && (file.st_mode & 0111) != 0) ? 0 : EACCES;
}

/// `create` must not succeed where `start` can only fail: its caller reports then what the user got wrong.
void find_program(const ChildContext& context) noexcept {
    // A startContainer hook may still bring it.
    if (context.start_socket < 0 || !context.prepared->start_hooks.empty())
        return;
    // Where it is missing it will be made, and is empty.
    const int folder = rooted::open_raw(context.root, context.process->process.cwd.c_str(), O_PATH | O_DIRECTORY);
    int remembered = ENOENT;
    for (const char* path : context.payload->candidates) {
        const int err = folder < 0 && path[0] != '/' ? ENOENT : check_program(folder, path);
        if (err == 0 || err == EACCES)
            remembered = err;
        if (err == 0)
            break;
    }
    if (folder >= 0)
        ::close(folder);
    if (remembered != 0)
        give_up(context, Stage::exec_failed, 0, remembered);
}

[[noreturn]] void end_by(int number) { ::_exit(128 + number); }

/// The first process of a pid namespace hears only what it catches. One that was created and never started can be ended
/// by a plain signal all the same; the payload is born with none caught or pending for it.
void hear_signals(bool on) noexcept {
    sigset_t ending;
    ::sigemptyset(&ending);
    struct sigaction action {};
    action.sa_handler = on ? end_by : SIG_DFL;
    for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM}) {
        ::sigaction(number, &action, nullptr);
        ::sigaddset(&ending, number);
    }
    ::sigprocmask(on ? SIG_UNBLOCK : SIG_BLOCK, &ending, nullptr);
}

/// `create` stops here until `start` connects; from then on we report over its connection.
int wait_for_start(ChildContext& context) noexcept {
    if (context.start_socket < 0)
        return 0;
    hear_signals(true); // before anybody knows that we wait, and sends one
    if (!report(context, Stage::waiting, 0, 0))
        ::_exit(1);
    ::close(context.sync);
    context.sync = ::accept4(context.start_socket, nullptr, nullptr, SOCK_CLOEXEC);
    hear_signals(false);
    if (context.sync < 0)
        ::_exit(1);
    return 0;
}

/// Ignored signals survive exec too, but we were born with none (CLONE_CLEAR_SIGHAND).
void unblock_signals() noexcept {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// With nothing but the payload's own rights: whatever they run comes out of the image.
void run_start_hooks(const ChildContext& context) noexcept {
    if (context.prepared == nullptr)
        return;
    const auto& hooks = context.prepared->start_hooks;
    for (std::uint32_t i = 0; i < hooks.size(); ++i)
        if (const int result = run_prepared_hook(hooks[i], context.created_state); result != 0)
            give_up(context, Stage::start_hook_failed, i, result);
}

/// PID 1 is the host's program then. That the payload's own can't be run must be known before, as without it.
void exec_init(const ChildContext& context) noexcept {
    if (context.init < 0)
        return;
    const PreparedProcess& payload = *context.payload;
    for (const char* path : payload.candidates)
        if (::access(path, X_OK) == 0) {
            ::syscall(SYS_execveat, context.init, "", payload.init_argv.data(), payload.envp.data(), AT_EMPTY_PATH);
            give_up(context, Stage::exec_failed, 0, errno);
        }
    give_up(context, Stage::exec_failed, 0, errno);
}

/// As execvp does: the first that exists and may be executed; EACCES is remembered over ENOENT.
[[noreturn]] void exec_payload(const ChildContext& context) noexcept {
    const PreparedProcess& payload = *context.payload;
    int remembered = ENOENT;
    // Whoever waits for this message has died: then the start did not complete, and leaves no trace.
    if (!report(context, Stage::exec_now, 0, 0))
        ::_exit(1);
    exec_init(context);
    for (const char* path : payload.candidates) {
        ::execve(path, payload.argv.data(), payload.envp.data());
        if (errno == EACCES)
            remembered = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            give_up(context, Stage::exec_failed, 0, errno);
    }
    give_up(context, Stage::exec_failed, 0, remembered);
}

} // namespace

void become_payload(ChildContext& context) noexcept {
    const oci::Process& process = context.process->process;
    const auto must = [&](IdentityStep step, int err) {
        if (err != 0)
            give_up(context, Stage::identity_failed, static_cast<std::uint32_t>(step), err);
    };
    must(IdentityStep::session, start_session(context));
    must(IdentityStep::keyring, make_keyring(context.new_keyring));
    must(IdentityStep::apparmor, set_apparmor(process.apparmor_profile));
    must(IdentityStep::selinux, set_selinux(process.selinux_label));
    find_program(context);
    must(IdentityStep::start_socket, wait_for_start(context));
    must(IdentityStep::personality, set_personality(context.process->personality));
    must(IdentityStep::memory_policy, set_memory_policy(context));
    ::umask(process.user.umask.value_or(0022));
    must(IdentityStep::cwd, enter_cwd(context));
    must(IdentityStep::descriptors, arrange_descriptors(context)); // before a profile that may forbid it
    set_limits(context);
    // Loading a filter takes CAP_SYS_ADMIN or no_new_privs: without the latter it comes before the former is dropped.
    must(IdentityStep::bind_filter, intercept_bind(context));
    if (!process.no_new_privileges)
        must(IdentityStep::seccomp, load_profile(context));
    const oci::Capabilities sets = within_our_own(process.capabilities.value_or(oci::Capabilities{}));
    must(IdentityStep::bounding, drop_bounding(process.capabilities.value_or(oci::Capabilities{}).bounding));
    must(IdentityStep::groups, set_groups(context));
    must(IdentityStep::ids, set_ids(process.user));
    must(IdentityStep::capabilities, set_capabilities(sets));
    // Changing the ids makes us what fs.suid_dumpable says; until the exec it is nobody's to look at.
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    // A further process belongs to whoever waits for it. After the ids: changing them clears this.
    if (context.dies_with_parent)
        ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    write_listen_pid(context.payload->listen_pid);
    unblock_signals();
    if (process.no_new_privileges) {
        must(IdentityStep::no_new_privileges, check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)));
        must(IdentityStep::seccomp, load_profile(context));
    }
    run_start_hooks(context);
    exec_payload(context);
}

} // namespace ctrd::runtime
