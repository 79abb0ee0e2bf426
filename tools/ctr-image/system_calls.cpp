// The system calls of the worker: sandbox.hpp. Files below its root, threads, memory, its own socket and nothing else.
#include "tools/ctr-image/sandbox.hpp"

#include <linux/fsverity.h>
#include <sched.h>
#include <seccomp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

namespace ctrd::imaging {
namespace {

constexpr std::array allowed{
    // files
    "openat", "openat2", "close", "close_range", "read", "pread64", "readv", "write", "pwrite64", "writev", "lseek",
    "fstat", "newfstatat", "fstatat64", "fstat64", "statx", "faccessat", "faccessat2", "readlinkat", "getdents64",
    "mkdirat", "mknodat", "linkat", "symlinkat", "unlinkat", "renameat", "renameat2", "fchmod", "fchmodat", "fchown",
    "fchownat", "utimensat", "ftruncate", "fallocate", "copy_file_range", "fsetxattr", "fgetxattr", "flistxattr",
    "pipe2", "fsync", "fdatasync", "syncfs", "flock", "fcntl", "fcntl64", "dup", "fstatfs", "fstatfs64",
    // threads and memory
    "futex", "futex_time64", "set_robust_list", "rseq", "sched_getaffinity", "sched_yield", "gettid", "getpid", "mmap",
    "mmap2", "munmap", "mprotect", "mremap", "madvise", "brk", "exit", "exit_group", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "sigaltstack", "getrandom", "clock_gettime", "clock_gettime64", "clock_nanosleep", "nanosleep",
    "restart_syscall", "getuid", "geteuid", "uname",
    // its own socket
    "sendmsg", "recvmsg", "sendto", "recvfrom", "shutdown", "poll", "ppoll"};

struct Release {
    void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};

} // namespace

Result<void> limit_system_calls() {
    const std::unique_ptr<void, Release> filter{::seccomp_init(SCMP_ACT_ERRNO(EPERM))};
    int err = filter ? 0 : ENOMEM;
    for (const char* name : allowed) {
        const int number = ::seccomp_syscall_resolve_name(name);
        if (err == 0 && number >= 0) // not every architecture has each of them
            err = -::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0);
    }
    // On itself alone: abort() is one of them. Another root process' signals and limits are not its business.
    if (err == 0)
        err = -::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                  SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid())));
    if (err == 0)
        err = -::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0));
    // fs-verity's two, of the many things that an ioctl may be.
    for (const scmp_datum_t request : {FS_IOC_ENABLE_VERITY, FS_IOC_MEASURE_VERITY})
        if (err == 0)
            err = -::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                      SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, request));
    // Threads only: no flag that makes a process or a namespace. clone3 hides its flags from us; the C library then
    // takes clone.
    if (err == 0)
        err = -::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM));
    if (err == 0)
        err = -::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (err == 0)
        err = -::seccomp_load(filter.get());
    return err == 0 ? Result<void>{} : fail(os_error(err, "cannot limit the worker's system calls"));
}

} // namespace ctrd::imaging
