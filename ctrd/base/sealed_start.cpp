// The programs that start containers are executed twice, the second time from a read-only mount of themselves
// (sealed_self.hpp). Most of what a static program costs is the C library's own start: on a virtual machine each of its
// many CPUID instructions leaves to the hypervisor. So the first time ends before the library begins: this is the
// program's entry point, and only system calls are made here. Where anything fails it just goes on, and
// run_from_sealed_binary() in main has the last word.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#ifdef __x86_64__

namespace {

// Nothing is relocated, and no thread-local storage is there for a stack protector yet.
#define CTRD_BEFORE_LIBC __attribute__((no_stack_protector, always_inline)) inline

CTRD_BEFORE_LIBC long system_call(long number, long a, long b, long c, long d, long e) noexcept {
    long result = 0;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                 : "rcx", "r11", "memory");
    return result;
}

CTRD_BEFORE_LIBC long address(const void* pointer) noexcept { return reinterpret_cast<long>(pointer); }

} // namespace

/// `stack`: argc, argv, NULL, envp, as the kernel left it.
extern "C" __attribute__((no_stack_protector, used)) void ctrd_seal_before_libc(long* stack) {
    const char* self = "/proc/self/exe";
    struct statfs fs; // not cleared: that could become a call into the library
    if (system_call(SYS_statfs, address(self), address(&fs), 0, 0, 0) != 0 || (fs.f_flags & ST_RDONLY) != 0)
        return;
    const long tree = system_call(SYS_open_tree, AT_FDCWD, address(self), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC, 0, 0);
    if (tree < 0)
        return;
    mount_attr attr;
    attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    attr.attr_clr = attr.propagation = attr.userns_fd = 0;
    char* const* argv = reinterpret_cast<char* const*>(stack + 1);
    char* const* envp = argv + stack[0] + 1;
    if (system_call(SYS_mount_setattr, tree, address(""), AT_EMPTY_PATH, address(&attr), sizeof attr) == 0)
        system_call(SYS_execveat, tree, address(""), address(argv), address(envp), AT_EMPTY_PATH);
    system_call(SYS_close, tree, 0, 0, 0, 0);
}

// The entry point: keeps what _start expects, stack and rdx, and goes on to it.
asm(R"(
    .globl ctrd_sealed_start
    .type ctrd_sealed_start, @function
ctrd_sealed_start:
    xor %ebp, %ebp
    mov %rsp, %r12
    mov %rdx, %r13
    mov %rsp, %rdi
    and $-16, %rsp
    call ctrd_seal_before_libc
    mov %r12, %rsp
    mov %r13, %rdx
    jmp _start
)");

#endif
