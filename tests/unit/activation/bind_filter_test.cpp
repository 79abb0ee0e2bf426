#include "ctrd/plan/bind_filter.hpp"

#include <catch2/catch.hpp>

#include <cstring>

namespace ctrd::plan {
namespace {

/// The few instructions that the filter uses, as the kernel would run them. Any other, or a jump out: no answer.
std::uint32_t run(const seccomp_data& data) {
    const auto program = bind_filter();
    std::uint32_t accumulator = 0;
    for (std::size_t at = 0; at < program.size(); ++at) {
        const sock_filter& one = program[at];
        switch (one.code) {
        case BPF_LD | BPF_W | BPF_ABS:
            REQUIRE(one.k + sizeof accumulator <= sizeof data);
            std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + one.k, sizeof accumulator);
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += accumulator == one.k ? one.jt : one.jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            at += accumulator >= one.k ? one.jt : one.jf;
            break;
        case BPF_RET | BPF_K:
            return one.k;
        default:
            FAIL("unknown instruction " << one.code);
        }
    }
    FAIL("no answer");
    return 0;
}

seccomp_data call(std::uint32_t arch, int nr, std::uint64_t first, std::uint64_t second, std::uint64_t third) {
    return {nr, arch, 0, {first, second, third, 0, 0, 0}};
}

constexpr std::uint32_t notify = SECCOMP_RET_USER_NOTIF;
constexpr std::uint32_t allow = SECCOMP_RET_ALLOW;

} // namespace

TEST_CASE("a bind of an address that could be an IP one, or a path, is notified") {
    using namespace bind_filter_detail;
    const auto bind = [](std::uint64_t length) { return run(call(native_arch, native_bind, 3, 0x7fff0000, length)); };
    CHECK(bind(13) == notify);  // "/run/a.sock", without a NUL
    CHECK(bind(16) == notify);  // sockaddr_in
    CHECK(bind(28) == notify);  // sockaddr_in6
    CHECK(bind(128) == notify); // sockaddr_storage
}

TEST_CASE("a bind that can't be one of these goes to the kernel unseen") {
    using namespace bind_filter_detail;
    const auto bind = [](std::uint64_t length) { return run(call(native_arch, native_bind, 3, 0x7fff0000, length)); };
    CHECK(bind(12) == allow); // netlink
    CHECK(bind(2) == allow);  // AF_UNIX autobind
    CHECK(bind(0) == allow);
    CHECK(bind(129) == allow); // the kernel refuses it
    CHECK(bind(0xffffffffU) == allow);
}

TEST_CASE("the length is the int that the kernel takes, whatever the register's upper half holds") {
    using namespace bind_filter_detail;
    CHECK(run(call(native_arch, native_bind, 3, 0, 0xdead'beef'0000'0010U)) == notify);
    CHECK(run(call(native_arch, native_bind, 3, 0, 0xdead'beef'0000'000cU)) == allow);
}

TEST_CASE("every other system call passes") {
    using namespace bind_filter_detail;
    for (int nr = 0; nr < 500; ++nr)
        if (static_cast<unsigned>(nr) != native_bind)
            CHECK(run(call(native_arch, nr, 2, 0, 16)) == allow);
    CHECK(run(call(0xdeadbeef, native_bind, 3, 0, 16)) == allow); // no machine that we know
}

#if defined(__x86_64__)
TEST_CASE("an x32 bind is notified like a native one") {
    CHECK(run(call(AUDIT_ARCH_X86_64, 0x40000000 | 49, 3, 0, 16)) == notify);
    CHECK(run(call(AUDIT_ARCH_X86_64, 0x40000000 | 49, 3, 0, 12)) == allow);
    CHECK(run(call(AUDIT_ARCH_X86_64, 0x40000000 | 50, 3, 0, 16)) == allow);
}

TEST_CASE("a 32-bit program's bind and socketcall(SYS_BIND) are notified") {
    CHECK(run(call(AUDIT_ARCH_I386, 361, 3, 0, 16)) == notify);
    CHECK(run(call(AUDIT_ARCH_I386, 361, 3, 0, 12)) == allow);
    CHECK(run(call(AUDIT_ARCH_I386, 102, 2, 0xffff0000, 0)) == notify);
    CHECK(run(call(AUDIT_ARCH_I386, 102, 3, 0xffff0000, 16)) == allow); // SYS_CONNECT
    CHECK(run(call(AUDIT_ARCH_I386, 49, 3, 0, 16)) == allow);           // geteuid there
}
#endif

} // namespace ctrd::plan
