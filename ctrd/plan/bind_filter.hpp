// The seccomp filter that stops a payload's bind(2) of an address that could be adopted and notifies the supervisor.
// Data only: ctrd/runtime loads it in the child, ctrd/activation answers.
//
// Everything else is decided by number and architecture alone, so the kernel (5.11 and later) remembers it and never
// runs the filter for it. By length (IPv4 16, IPv6 28, an AF_UNIX path of 11 characters or more 13, at most what the
// kernel takes, 128) netlink's 12 bytes and an AF_UNIX autobind pass by. A 32-bit x86 program may bind by
// socketcall(2), whose arguments lie in memory where no filter can look: each such bind is notified.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <array>
#include <cstddef>
#include <span>

namespace ctrd::plan {
namespace bind_filter_detail {

constexpr unsigned nr = offsetof(seccomp_data, nr);
constexpr unsigned arch = offsetof(seccomp_data, arch);
constexpr unsigned argument(unsigned index) {
    return offsetof(seccomp_data, args) + index * sizeof(__u64); // its low half: both machines are little-endian
}

constexpr sock_filter load(unsigned offset) { return {BPF_LD | BPF_W | BPF_ABS, 0, 0, offset}; }
constexpr sock_filter if_equal(unsigned value, unsigned char skip, unsigned char skip_else) {
    return {BPF_JMP | BPF_JEQ | BPF_K, skip, skip_else, value};
}
constexpr sock_filter if_at_least(unsigned value, unsigned char skip, unsigned char skip_else) {
    return {BPF_JMP | BPF_JGE | BPF_K, skip, skip_else, value};
}
constexpr sock_filter answer(unsigned action) { return {BPF_RET | BPF_K, 0, 0, action}; }

#if defined(__x86_64__)
constexpr unsigned native_arch = AUDIT_ARCH_X86_64;
constexpr unsigned native_bind = 49;
constexpr unsigned other_bind = 0x40000000U | 49; // x32
constexpr unsigned compat_arch = AUDIT_ARCH_I386;
constexpr unsigned compat_bind = 361;
constexpr unsigned compat_socketcall = 102;
#elif defined(__aarch64__)
constexpr unsigned native_arch = AUDIT_ARCH_AARCH64;
constexpr unsigned native_bind = 200;
constexpr unsigned other_bind = native_bind;
constexpr unsigned compat_arch = AUDIT_ARCH_ARM;
constexpr unsigned compat_bind = 282;
constexpr unsigned compat_socketcall = 102; // of the old ABI
#else
#error "ctrd does not know this machine's bind(2)"
#endif

constexpr unsigned socketcall_bind = 2;
constexpr unsigned shortest_address = 13;
constexpr unsigned too_long_address = 129;

inline constexpr std::array program{
    /*  0 */ load(arch),
    /*  1 */ if_equal(native_arch, 0, 3),
    /*  2 */ load(nr),
    /*  3 */ if_equal(native_bind, 7, 0),
    /*  4 */ if_equal(other_bind, 6, 9),
    /*  5 */ if_equal(compat_arch, 0, 8),
    /*  6 */ load(nr),
    /*  7 */ if_equal(compat_bind, 3, 0),
    /*  8 */ if_equal(compat_socketcall, 0, 5),
    /*  9 */ load(argument(0)),
    /* 10 */ if_equal(socketcall_bind, 4, 3),
    /* 11 */ load(argument(2)),
    /* 12 */ if_at_least(shortest_address, 0, 1),
    /* 13 */ if_at_least(too_long_address, 0, 1),
    /* 14 */ answer(SECCOMP_RET_ALLOW),
    /* 15 */ answer(SECCOMP_RET_USER_NOTIF),
};

} // namespace bind_filter_detail

constexpr std::span<const sock_filter> bind_filter() { return bind_filter_detail::program; }

} // namespace ctrd::plan
