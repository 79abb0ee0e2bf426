#include "tests/attack/attack.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace attack {
namespace {

constexpr int af_alg = 38;

/// In a process of its own: a kernel without that ABI, or a profile, may end whoever calls.
template <class Call> void attempt(const char* how, const Call& call) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        const long result = call();
        std::printf("%s: %s\n", how, result < 0 ? std::strerror(static_cast<int>(-result)) : "LOOT");
        std::fflush(stdout);
        ::_exit(0);
    }
    int status = 0;
    if (pid < 0 || ::waitpid(pid, &status, 0) != pid || WIFSIGNALED(status))
        std::printf("%s: ended by signal %d\n", how, WTERMSIG(status));
}

#if defined(__x86_64__)
/// A system call as a 32-bit program makes it. -errno where it fails.
long call_i386(long number, long first, long second, long third) {
    long result = number;
    asm volatile("int $0x80" : "+a"(result) : "b"(first), "c"(second), "d"(third) : "memory", "r8", "r9", "r10", "r11");
    return static_cast<int>(result);
}

void alg_32() {
    // Arguments of socketcall(2) lie in memory, where a 32-bit pointer must reach.
    void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (page == MAP_FAILED)
        return;
    const unsigned arguments[3]{af_alg, SOCK_SEQPACKET, 0};
    std::memcpy(page, arguments, sizeof arguments);
    const auto pointer = static_cast<long>(reinterpret_cast<std::uintptr_t>(page));
    attempt("i386 socket", [] { return call_i386(359, af_alg, SOCK_SEQPACKET, 0); });
    attempt("i386 socketcall", [&] { return call_i386(102, 1, pointer, 0); });
    attempt("x32 socket", [] {
        const long fd = ::syscall(0x40000000 | SYS_socket, af_alg, SOCK_SEQPACKET, 0);
        return fd < 0 ? -errno : fd;
    });
}
#else
void alg_32() {}
#endif

} // namespace

int alg() {
    attempt("socket", [] {
        const long fd = ::socket(af_alg, SOCK_SEQPACKET, 0);
        return fd < 0 ? -errno : fd;
    });
    alg_32();
    std::puts("tried");
    return 0;
}

} // namespace attack
