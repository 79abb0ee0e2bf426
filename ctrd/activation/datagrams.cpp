#include "ctrd/activation/datagrams.hpp"

#include "ctrd/activation/bpf.hpp"
#include "ctrd/activation/bpf_code.hpp"
#include "ctrd/activation/traffic.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace ctrd::activation {
namespace {

constexpr std::uint32_t most_peers = 4096;
constexpr const char* answer4_name = "ctrd_answer4";
constexpr const char* answer6_name = "ctrd_answer6";

/// An IPv4 address is a mapped one (::ffff:192.0.2.1), whatever family the socket has.
struct Peer {
    std::array<unsigned char, 16> address{};
    std::uint16_t port{0}; // in network order
    std::uint16_t nothing{0};
};
static_assert(sizeof(Peer) == 20);

// On a program's stack.
constexpr int peer = -24;
constexpr int peer_mark = peer + 10; // of a mapped address
constexpr int peer_four = peer + 12;
constexpr int peer_port = peer + 16;
constexpr int scratch = -32;
constexpr int zero = -28;

/// r6: the datagram, with its IP header first; r7: a byte of it; r8: the length of that header, then the cell.
std::array<bpf_insn, 83> asked_program(int cell, int peers) {
    using namespace bpf;
    constexpr int out = 81; // where the ways out lead: to "let it in"
    return {
        /*  0 */ move(6, 1),
        /*  1 */ store_value(BPF_DW, 10, peer, 0),
        /*  2 */ store_value(BPF_DW, 10, peer + 8, 0),
        /*  3 */ store_value(BPF_W, 10, peer_port, 0),
        /*  4 */ store_value(BPF_DW, 10, scratch, 0),
        /*  5 */ set(2, 0), // the version, and IPv4's length
        /*  6 */ move(3, 10),
        /*  7 */ add(3, scratch),
        /*  8 */ set(4, 1),
        /*  9 */ call(BPF_FUNC_skb_load_bytes),
        /* 10 */ skip_unless_equal(0, 0, out - 11),
        /* 11 */ load(BPF_B, 7, 10, scratch),
        /* 12 */ move(8, 7),
        /* 13 */ shift_right(7, 4),
        /* 14 */ skip_if_equal(7, 6, 34 - 15),
        /* 15 */ skip_unless_equal(7, 4, out - 16),
        // IPv4
        /* 16 */ mask(8, 15),
        /* 17 */ shift_left(8, 2),
        /* 18 */ move(1, 6),
        /* 19 */ set(2, 9), // the protocol
        /* 20 */ move(3, 10),
        /* 21 */ add(3, scratch),
        /* 22 */ set(4, 1),
        /* 23 */ call(BPF_FUNC_skb_load_bytes),
        /* 24 */ skip_unless_equal(0, 0, out - 25),
        /* 25 */ store_value(BPF_H, 10, peer_mark, -1),
        /* 26 */ move(1, 6),
        /* 27 */ set(2, 12), // the source
        /* 28 */ move(3, 10),
        /* 29 */ add(3, peer_four),
        /* 30 */ set(4, 4),
        /* 31 */ call(BPF_FUNC_skb_load_bytes),
        /* 32 */ skip_unless_equal(0, 0, out - 33),
        /* 33 */ skip(48 - 34),
        // IPv6
        /* 34 */ set(8, 40),
        /* 35 */ move(1, 6),
        /* 36 */ set(2, 6), // the protocol
        /* 37 */ move(3, 10),
        /* 38 */ add(3, scratch),
        /* 39 */ set(4, 1),
        /* 40 */ call(BPF_FUNC_skb_load_bytes),
        /* 41 */ skip_unless_equal(0, 0, out - 42),
        /* 42 */ move(1, 6),
        /* 43 */ set(2, 8), // the source
        /* 44 */ move(3, 10),
        /* 45 */ add(3, peer),
        /* 46 */ set(4, 16),
        /* 47 */ call(BPF_FUNC_skb_load_bytes),
        // both
        /* 48 */ skip_unless_equal(0, 0, out - 49),
        /* 49 */ load(BPF_B, 7, 10, scratch),
        /* 50 */ skip_unless_equal(7, IPPROTO_UDP, out - 51),
        /* 51 */ move(1, 6),
        /* 52 */ move(2, 8), // its port
        /* 53 */ move(3, 10),
        /* 54 */ add(3, peer_port),
        /* 55 */ set(4, 2),
        /* 56 */ call(BPF_FUNC_skb_load_bytes),
        /* 57 */ skip_unless_equal(0, 0, out - 58),
        // counted
        /* 58 */ move(2, 10),
        /* 59 */ add(2, zero),
        /* 60 */ map(1, cell),
        /* 61 */ map_second_half(),
        /* 62 */ call(BPF_FUNC_map_lookup_elem),
        /* 63 */ skip_if_equal(0, 0, out - 64),
        /* 64 */ move(8, 0),
        /* 65 */ call(BPF_FUNC_ktime_get_ns),
        /* 66 */ store(BPF_DW, 8, offsetof(Counted, last_event), 0),
        /* 67 */ set(1, 1),
        /* 68 */ add_to_memory(8, offsetof(Counted, connections), 1),
        /* 69 */ load(BPF_DW, 1, 8, offsetof(Counted, first)),
        /* 70 */ skip_unless_equal(1, 0, 1),
        /* 71 */ store(BPF_DW, 8, offsetof(Counted, first), 0),
        // and kept
        /* 72 */ store_value(BPF_W, 10, scratch, 1),
        /* 73 */ map(1, peers),
        /* 74 */ map_second_half(),
        /* 75 */ move(2, 10),
        /* 76 */ add(2, peer),
        /* 77 */ move(3, 10),
        /* 78 */ add(3, scratch),
        /* 79 */ set(4, BPF_ANY),
        /* 80 */ call(BPF_FUNC_map_update_elem),
        /* 81 */ set(0, 1),
        /* 82 */ leave(),
    };
}

/// The answer is the look-up's: 0, refused, for whom is not in the map.
std::array<bpf_insn, 16> answer4_program(int peers) {
    using namespace bpf;
    return {
        move(6, 1),
        store_value(BPF_DW, 10, peer, 0),
        store_value(BPF_DW, 10, peer + 8, 0),
        store_value(BPF_H, 10, peer_mark, -1),
        load(BPF_W, 7, 6, offsetof(bpf_sock_addr, user_ip4)),
        store(BPF_W, 10, peer_four, 7),
        load(BPF_W, 7, 6, offsetof(bpf_sock_addr, user_port)),
        store(BPF_W, 10, peer_port, 7),
        map(1, peers),
        map_second_half(),
        move(2, 10),
        add(2, peer),
        call(BPF_FUNC_map_lookup_elem),
        skip_if_equal(0, 0, 1),
        set(0, 1),
        leave(),
    };
}

std::array<bpf_insn, 19> answer6_program(int peers) {
    using namespace bpf;
    constexpr int address = offsetof(bpf_sock_addr, user_ip6);
    return {
        move(6, 1),
        load(BPF_W, 7, 6, address),
        store(BPF_W, 10, peer, 7),
        load(BPF_W, 7, 6, address + 4),
        store(BPF_W, 10, peer + 4, 7),
        load(BPF_W, 7, 6, address + 8),
        store(BPF_W, 10, peer + 8, 7),
        load(BPF_W, 7, 6, address + 12),
        store(BPF_W, 10, peer + 12, 7),
        load(BPF_W, 7, 6, offsetof(bpf_sock_addr, user_port)),
        store(BPF_W, 10, peer_port, 7),
        map(1, peers),
        map_second_half(),
        move(2, 10),
        add(2, peer),
        call(BPF_FUNC_map_lookup_elem),
        skip_if_equal(0, 0, 1),
        set(0, 1),
        leave(),
    };
}

Result<void> attach_new(const Cgroup& cgroup, bpf_prog_type type, bpf_attach_type where, const char* name,
                        std::span<const bpf_insn> code) {
    const UniqueFd program = TRY(bpf::load(type, where, name, code));
    return bpf::attach(cgroup.folder.get(), program.get(), where);
}

/// One program after the other: what was attached by a start that was killed in between is found by its name, and its
/// maps by it.
Result<UniqueFd> attach_all(const Cgroup& cgroup) {
    const int folder = cgroup.folder.get();
    if (!TRY(bpf::is_attached(folder, BPF_CGROUP_INET_INGRESS, datagram_counter_name))) {
        const UniqueFd cell = TRY(bpf::make_cell(sizeof(Counted), datagram_counter_name));
        const UniqueFd peers = TRY(bpf::make_lru(sizeof(Peer), sizeof(std::uint32_t), most_peers, "ctrd_peers"));
        TRY_VOID(attach_new(cgroup, BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, datagram_counter_name,
                            asked_program(cell.get(), peers.get())));
    }
    UniqueFd peers = TRY(bpf::find_map(folder, BPF_CGROUP_INET_INGRESS, datagram_counter_name, 1));
    if (!TRY(bpf::is_attached(folder, BPF_CGROUP_UDP4_SENDMSG, answer4_name)))
        TRY_VOID(attach_new(cgroup, BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG, answer4_name,
                            answer4_program(peers.get())));
    if (!TRY(bpf::is_attached(folder, BPF_CGROUP_UDP6_SENDMSG, answer6_name)))
        TRY_VOID(attach_new(cgroup, BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_SENDMSG, answer6_name,
                            answer6_program(peers.get())));
    return peers;
}

Peer peer_of(const sockaddr_in6& address) {
    Peer result;
    result.port = address.sin6_port;
    if (address.sin6_family == AF_INET6) {
        std::memcpy(result.address.data(), &address.sin6_addr, sizeof address.sin6_addr);
        return result;
    }
    result.address[10] = result.address[11] = 0xff;
    std::memcpy(result.address.data() + 12, reinterpret_cast<const char*>(&address) + offsetof(sockaddr_in, sin_addr),
                sizeof(in_addr));
    return result;
}

/// Looked at and left where they are: SO_PEEK_OFF makes each look go on where the one before it ended.
Result<void> admit_queued(int socket, int peers) {
    const int from_the_first = 0;
    const int off = -1;
    if (::setsockopt(socket, SOL_SOCKET, SO_PEEK_OFF, &from_the_first, sizeof from_the_first) < 0)
        return fail(os_error(errno, "cannot look at the datagrams that wait"));
    for (std::uint32_t i = 0; i < most_peers; ++i) {
        sockaddr_in6 from{};
        socklen_t size = sizeof from;
        char byte = 0;
        const ssize_t n = ::recvfrom(socket, &byte, sizeof byte, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT,
                                     reinterpret_cast<sockaddr*>(&from), &size);
        if (n < 0 && errno != EINTR)
            break;
        const std::uint32_t value = 1;
        const Peer waiting = peer_of(from);
        if (n >= 0)
            TRY_VOID(bpf::put(peers, &waiting, &value));
    }
    ::setsockopt(socket, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof off);
    return {};
}

} // namespace

Result<void> answer_only(const Cgroup& cgroup, std::span<const int> sockets) {
    const UniqueFd peers = TRY(attach_all(cgroup).context("guard of datagrams on the cgroup '" + cgroup.path + "'"));
    for (const int socket : sockets)
        TRY_VOID(admit_queued(socket, peers.get()));
    return {};
}

} // namespace ctrd::activation
