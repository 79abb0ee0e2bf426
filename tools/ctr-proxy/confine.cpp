#include "tools/ctr-proxy/confine.hpp"

#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

namespace ctrd::proxy {
namespace {

bool has_path(const Options& options) {
    return std::ranges::any_of(options.routes, [](const Route& route) { return !route.path.empty(); });
}

#if defined(__x86_64__)
constexpr std::uint32_t own_arch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t own_arch = AUDIT_ARCH_AARCH64;
#endif

constexpr std::array allowed {
    SYS_read, SYS_write, SYS_writev, SYS_close, SYS_socket, SYS_connect, SYS_accept4, SYS_shutdown, SYS_setsockopt,
        SYS_getsockopt, SYS_splice, SYS_pipe2, SYS_epoll_ctl, SYS_epoll_pwait, SYS_sendto, SYS_recvfrom, SYS_sendmsg,
        SYS_recvmsg, SYS_mmap, SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk, SYS_exit_group, SYS_rt_sigreturn,
        SYS_clock_gettime, SYS_restart_syscall, SYS_newfstatat,
#if defined(__x86_64__)
        SYS_epoll_wait,
#endif
};

Result<void> drop_bounding() {
    for (int cap = 0; ::prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap)
        if (::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return fail(os_error(errno, "cannot drop a capability"));
    return {};
}

Result<void> keep_only(bool override) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    if (override)
        data[0].permitted = data[0].effective = 1U << CAP_DAC_OVERRIDE;
    if (::syscall(SYS_capset, &header, data) < 0)
        return fail(os_error(errno, "cannot drop capabilities"));
    return {};
}

} // namespace

Result<void> enter_container(const Options& options) {
    const int what = CLONE_NEWNET | (has_path(options) ? CLONE_NEWNS : 0);
    if (::setns(options.container, what) < 0)
        return fail(os_error(errno, "the proxy cannot enter the container"));
    return {};
}

Result<void> become_nobody(const Options& options) {
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) { // six for each connection
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }
    TRY_VOID(drop_bounding()); // as long as we may
    if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || ::setgroups(0, nullptr) < 0 ||
        ::setresgid(options.group, options.group, options.group) < 0 ||
        ::setresuid(options.user, options.user, options.user) < 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail(os_error(errno, "the proxy cannot become user " + std::to_string(options.user)));
    return keep_only(has_path(options));
}

/// Each allowed number is one comparison; whatever else is called ends the process.
Result<void> allow_only_copying() {
    std::array<sock_filter, 6 + 2 * allowed.size()> program{};
    std::size_t size = 0;
    program[size++] = {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch)};
    program[size++] = {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, own_arch};
    program[size++] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS};
    program[size++] = {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)};
    for (const auto number : allowed) {
        program[size++] = {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<std::uint32_t>(number)};
        program[size++] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    }
    program[size++] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS};
    const sock_fprog filter{static_cast<unsigned short>(size), program.data()};
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0)
        return fail(os_error(errno, "cannot load the proxy's seccomp filter"));
    return {};
}

} // namespace ctrd::proxy
