// The programs that start containers must not be writable through /proc/PID/exe (sealed_self.hpp): before anything else
// they change over to a read-only mount of themselves. Executing oneself again does that, and costs a tenth of a whole
// start. So each segment is mapped once more, at its place, from the file as that mount has it, and then the kernel
// lets a process say that this is its program: PR_SET_MM_MAP, which it refuses while anything is still mapped from the
// old one.
//
// This is the program's entry point: nothing has been written to the segments yet, and only system calls are made here.
// Where anything fails the program is executed again; where that fails, too, it just goes on, and
// run_from_sealed_binary() in main has the last word.
#include "ctrd/base/sealed_self.hpp"

#include <elf.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

// Closing the last descriptor of a detached mount waits until no processor can be looking at it. This one is kept until
// somebody has time for that, where it is in nobody's way: descriptors that are passed on begin at 3.
constexpr int first_descriptor = 48;
constexpr int released = -2;
int mount_descriptor = -1; // as long as this program runs from where it was started

} // namespace

namespace ctrd {

bool runs_from_sealed_mount() noexcept { return mount_descriptor != -1; }

bool is_sealed_mount(int fd) noexcept { return fd >= 0 && fd == mount_descriptor; }

void release_sealed_mount() noexcept {
    if (mount_descriptor >= 0)
        ::close(mount_descriptor);
    mount_descriptor = mount_descriptor == -1 ? -1 : released;
}

} // namespace ctrd

#ifdef __x86_64__

namespace {

// Nothing is relocated, and no thread-local storage is there for a stack protector yet. Each page that is touched
// before it is mapped again costs twice: so constants are immediate operands, and strings stand beside the code, below.
#define CTRD_ALONE no_stack_protector, target("general-regs-only")
#define CTRD_BEFORE_LIBC __attribute__((CTRD_ALONE, always_inline)) inline

constexpr long page_size = 4096;

extern "C" const char ctrd_self_path[];        // /proc/self/exe
extern "C" const char ctrd_descriptors_path[]; // /proc/self/fd/
extern "C" const char ctrd_no_path[];          // an empty one

CTRD_BEFORE_LIBC long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                                  long f = 0) noexcept {
    long result = 0;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

CTRD_BEFORE_LIBC long address(const void* pointer) noexcept { return reinterpret_cast<long>(pointer); }

CTRD_BEFORE_LIBC long page_of(long place) noexcept { return place & -page_size; }

/// What the kernel left on the stack: argc, argv, NULL, envp, NULL, the auxiliary vector.
struct Start {
    long* stack;

    CTRD_BEFORE_LIBC long count() const noexcept { return stack[0]; }
    CTRD_BEFORE_LIBC char** argv() const noexcept { return reinterpret_cast<char**>(stack + 1); }
    CTRD_BEFORE_LIBC char** envp() const noexcept { return argv() + count() + 1; }
    CTRD_BEFORE_LIBC const Elf64_auxv_t* auxv() const noexcept {
        char** end = envp();
        while (*end != nullptr)
            ++end;
        return reinterpret_cast<const Elf64_auxv_t*>(end + 1);
    }
};

/// The head of the program's file, read: where it is mapped would be one more page to touch.
struct Segments {
    struct Head {
        Elf64_Ehdr file;
        Elf64_Phdr segments[16];
    } head;
    unsigned count;

    CTRD_BEFORE_LIBC bool read(long file) noexcept {
        const long size = system_call(SYS_pread64, file, address(&head), sizeof head, 0);
        count = head.file.e_phnum;
        return size == sizeof head && head.file.e_phoff == sizeof head.file && count <= 16;
    }
    [[nodiscard]] CTRD_BEFORE_LIBC const Elf64_Phdr* begin() const noexcept { return head.segments; }
    [[nodiscard]] CTRD_BEFORE_LIBC const Elf64_Phdr* end() const noexcept { return head.segments + count; }
};

/// Executed by a descriptor, as we do it ourselves, the program is called /dev/fd/N.
CTRD_BEFORE_LIBC bool is_executed_by_descriptor(const Start& start) noexcept {
    const Elf64_auxv_t* entry = start.auxv();
    while (entry->a_type != AT_EXECFN && entry->a_type != AT_NULL)
        ++entry;
    if (entry->a_type == AT_NULL)
        return false;
    const auto* name = reinterpret_cast<const char*>(entry->a_un.a_val);
    return name[0] == '/' && name[1] == 'd' && name[2] == 'e' && name[3] == 'v' && name[4] == '/' && name[5] == 'f';
}

/// As the kernel's own loader maps it. The program is not position-independent: addresses are what the headers say.
CTRD_BEFORE_LIBC bool map_again(const Elf64_Phdr& segment, int file) noexcept {
    const auto start = static_cast<long>(segment.p_vaddr);
    const auto end = start + static_cast<long>(segment.p_filesz);
    const auto flags = segment.p_flags;
    const long protection = ((flags & PF_R) != 0 ? PROT_READ : 0) | ((flags & PF_W) != 0 ? PROT_WRITE : 0) |
                            ((flags & PF_X) != 0 ? PROT_EXEC : 0);
    // Most of the writable pages will be written to.
    const long how = MAP_PRIVATE | MAP_FIXED | ((flags & PF_W) != 0 ? MAP_POPULATE : 0);
    if (system_call(SYS_mmap, page_of(start), end - page_of(start), protection, how, file,
                    page_of(static_cast<long>(segment.p_offset))) != page_of(start))
        return false;
    // What follows in the file is not what follows in memory.
    if (segment.p_memsz > segment.p_filesz)
        for (long place = end; place % page_size != 0; ++place)
            *reinterpret_cast<volatile char*>(place) = 0;
    return true;
}

CTRD_BEFORE_LIBC long after_string(const char* text) noexcept {
    while (*text != '\0') {
        ++text;
        asm volatile("" : "+r"(text)); // else the compiler finds that this is strlen()
    }
    return address(text + 1);
}

/// The kernel takes the new program only with all the addresses that it already knows.
CTRD_BEFORE_LIBC bool take_program(const Start& start, const Segments& segments, int file) noexcept {
    if (start.count() < 1)
        return false;
    prctl_mm_map map;
    map.start_code = map.start_data = ~0ULL;
    map.end_code = map.end_data = 0;
    for (const Elf64_Phdr& segment : segments) {
        if (segment.p_type != PT_LOAD)
            continue;
        const unsigned long long from = segment.p_vaddr;
        const unsigned long long to = from + segment.p_filesz;
        if ((segment.p_flags & PF_X) != 0 && from < map.start_code)
            map.start_code = from;
        if ((segment.p_flags & PF_X) != 0 && to > map.end_code)
            map.end_code = to;
        // Of the last one, as the kernel has it.
        map.start_data = from;
        map.end_data = to;
    }
    map.start_brk = map.brk = static_cast<unsigned long long>(system_call(SYS_brk));
    map.start_stack = static_cast<unsigned long long>(address(start.stack));
    map.arg_start = static_cast<unsigned long long>(address(start.argv()[0]));
    map.arg_end = static_cast<unsigned long long>(after_string(start.argv()[start.count() - 1]));
    map.env_start = map.env_end = map.arg_end; // the variables follow the arguments
    for (char** variable = start.envp(); *variable != nullptr; ++variable)
        map.env_end = static_cast<unsigned long long>(after_string(*variable));
    map.auxv = nullptr;
    map.auxv_size = 0;
    map.exe_fd = static_cast<unsigned>(file);
    return system_call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, address(&map), sizeof map) == 0;
}

/// For reading; the descriptor of a mount is but a place (O_PATH). Nobody has a thousand descriptors at his start.
CTRD_BEFORE_LIBC long open_place(long place) noexcept {
    if (place > 999)
        return -1;
    char path[32];
    char* end = path;
    for (const char* part = ctrd_descriptors_path; *part != '\0'; ++part)
        *end++ = *part;
    for (long unit = 100; unit > 0; unit /= 10)
        if (place >= unit || unit == 1)
            *end++ = static_cast<char>('0' + place / unit % 10);
    *end = '\0';
    return system_call(SYS_openat, AT_FDCWD, address(path), O_RDONLY | O_CLOEXEC);
}

CTRD_BEFORE_LIBC bool change_over(const Start& start, long tree) noexcept {
    const long file = open_place(tree);
    if (file < 0)
        return false;
    Segments segments;
    bool good = segments.read(file);
    if (good)
        for (const Elf64_Phdr& segment : segments)
            good = good && (segment.p_type != PT_LOAD || map_again(segment, static_cast<int>(file)));
    good = good && take_program(start, segments, static_cast<int>(file));
    system_call(SYS_close, file);
    return good;
}

} // namespace

extern "C" __attribute__((CTRD_ALONE, used)) void ctrd_seal_before_libc(long* stack) {
    const Start start{stack};
    if (is_executed_by_descriptor(start))
        return;
    const long tree =
        system_call(SYS_open_tree, AT_FDCWD, address(ctrd_self_path), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        return;
    mount_attr attr; // not cleared: that could become a call into the library
    attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    attr.attr_clr = attr.propagation = attr.userns_fd = 0;
    if (system_call(SYS_mount_setattr, tree, address(ctrd_no_path), AT_EMPTY_PATH, address(&attr), sizeof attr) == 0) {
        if (change_over(start, tree)) {
            const long kept = system_call(SYS_fcntl, tree, F_DUPFD_CLOEXEC, first_descriptor);
            system_call(SYS_close, tree);
            mount_descriptor = kept >= 0 ? static_cast<int>(kept) : released;
            return;
        }
        system_call(SYS_execveat, tree, address(ctrd_no_path), address(start.argv()), address(start.envp()),
                    AT_EMPTY_PATH);
    }
    system_call(SYS_close, tree);
}

// The entry point: keeps what _start expects, stack and rdx, and goes on to it.
asm(R"(
    .pushsection .text.ctrd_sealed_start, "ax", @progbits
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
ctrd_self_path:
    .asciz "/proc/self/exe"
ctrd_descriptors_path:
    .asciz "/proc/self/fd/"
ctrd_no_path:
    .asciz ""
    .size ctrd_sealed_start, . - ctrd_sealed_start
    .popsection
)");

#endif
