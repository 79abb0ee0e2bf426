// The system calls of the process that fetches: sandbox.hpp. Sockets, reading, threads, memory, and nothing else.
#include "tools/ctr-fetch/sandbox.hpp"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

namespace ctrd::fetching {
namespace {

constexpr std::array allowed{
    // reading; what is written to is open already
    "close", "read", "pread64", "readv", "write", "writev", "lseek", "fstat", "newfstatat", "fstatat64", "fstat64",
    "stat", "lstat", "stat64", "lstat64", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
    "getdents64", "fcntl", "fcntl64", "fstatfs", "fstatfs64", "pipe2", "eventfd2", "dup",
    // the network
    "connect", "bind", "shutdown", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "setsockopt",
    "getsockopt", "getsockname", "getpeername", "poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl",
    "epoll_wait", "epoll_pwait",
    // threads and memory
    "futex", "futex_time64", "set_robust_list", "rseq", "sched_getaffinity", "sched_yield", "gettid", "getpid", "mmap",
    "mmap2", "munmap", "mprotect", "mremap", "madvise", "brk", "exit", "exit_group", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "sigaltstack", "getrandom", "clock_gettime", "clock_gettime64", "clock_getres", "gettimeofday",
    "time", "clock_nanosleep", "clock_nanosleep_time64", "nanosleep", "restart_syscall", "getuid", "geteuid", "getgid",
    "getegid", "uname", "sysinfo"};

struct Release {
    void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};

class Filter {
public:
    void allow(const char* name) {
        const int number = ::seccomp_syscall_resolve_name(name);
        if (err_ == 0 && number >= 0) // not every architecture has each of them
            err_ = -::seccomp_rule_add(filter_.get(), SCMP_ACT_ALLOW, number, 0);
    }
    void allow_if(int number, scmp_arg_cmp condition) {
        if (err_ == 0)
            err_ = -::seccomp_rule_add(filter_.get(), SCMP_ACT_ALLOW, number, 1, condition);
    }
    void refuse(int number, int err) {
        if (err_ == 0)
            err_ = -::seccomp_rule_add(filter_.get(), SCMP_ACT_ERRNO(static_cast<std::uint32_t>(err)), number, 0);
    }
    int load() { return err_ != 0 ? err_ : -::seccomp_load(filter_.get()); }

private:
    std::unique_ptr<void, Release> filter_{::seccomp_init(SCMP_ACT_ERRNO(EPERM))};
    int err_{filter_ ? 0 : ENOMEM};
};

} // namespace

Result<void> limit_system_calls() {
    Filter filter;
    for (const char* name : allowed)
        filter.allow(name);
    // Opened for reading only: the two lowest bits are the access mode, and no file is made.
    filter.allow_if(SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT, O_RDONLY));
    if (const int open = ::seccomp_syscall_resolve_name("open"); open >= 0)
        filter.allow_if(open, SCMP_A1(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT, O_RDONLY));
    // Names are looked up by the last two, too.
    for (const int family : {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK}) {
        filter.allow_if(SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)));
        filter.allow_if(SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)));
    }
    for (const unsigned long request : {FIONREAD, FIONBIO})
        filter.allow_if(SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, request));
    // On itself alone: abort() is one of them.
    filter.allow_if(SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid())));
    filter.allow_if(SCMP_SYS(prlimit64), SCMP_A0(SCMP_CMP_EQ, 0));
    // Threads only. clone3 hides its flags from us; the C library then takes clone.
    filter.allow_if(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM));
    filter.refuse(SCMP_SYS(clone3), ENOSYS);
    const int err = filter.load();
    return err == 0 ? Result<void>{} : fail(os_error(err, "cannot limit the system calls of the process that fetches"));
}

} // namespace ctrd::fetching
