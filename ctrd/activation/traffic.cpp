#include "ctrd/activation/traffic.hpp"

#include "ctrd/activation/bpf.hpp"
#include "ctrd/activation/sock_diag.hpp"

#include <netinet/tcp.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <set>

namespace ctrd::activation {
namespace {

constexpr const char* counter_name = "ctrd_counter";

// The program, in the assembler of linux/bpf.h. r6: the context, r7: the operation, r8: the cell.
constexpr bpf_insn instruction(int code, int to, int from, int offset, int value) {
    return {static_cast<__u8>(code), static_cast<__u8>(to & 15), static_cast<__u8>(from & 15),
            static_cast<__s16>(offset), value};
}
constexpr bpf_insn move(int to, int from) { return instruction(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }
constexpr bpf_insn set(int to, int value) { return instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
constexpr bpf_insn add(int to, int value) { return instruction(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value); }
constexpr bpf_insn call(int function) { return instruction(BPF_JMP | BPF_CALL, 0, 0, 0, function); }
constexpr bpf_insn leave() { return instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }
constexpr bpf_insn load32(int to, int at, int offset) {
    return instruction(BPF_LDX | BPF_MEM | BPF_W, to, at, offset, 0);
}
constexpr bpf_insn load64(int to, int at, int offset) {
    return instruction(BPF_LDX | BPF_MEM | BPF_DW, to, at, offset, 0);
}
constexpr bpf_insn store64(int at, int offset, int from) {
    return instruction(BPF_STX | BPF_MEM | BPF_DW, at, from, offset, 0);
}
constexpr bpf_insn store32_value(int at, int offset, int value) {
    return instruction(BPF_ST | BPF_MEM | BPF_W, at, 0, offset, value);
}
constexpr bpf_insn add_to_memory(int at, int offset, int from) {
    return instruction(BPF_STX | BPF_ATOMIC | BPF_DW, at, from, offset, BPF_ADD);
}
constexpr bpf_insn skip_if_equal(int one, int value, int distance) {
    return instruction(BPF_JMP | BPF_JEQ | BPF_K, one, 0, distance, value);
}
constexpr bpf_insn skip_unless_equal(int one, int value, int distance) {
    return instruction(BPF_JMP | BPF_JNE | BPF_K, one, 0, distance, value);
}

/// A connection that came in is counted and asked to report its states; any change of a state is an event.
std::array<bpf_insn, 28> counter_program(int cell) {
    constexpr int connections = offsetof(Counted, connections);
    constexpr int last_event = offsetof(Counted, last_event);
    constexpr int first = offsetof(Counted, first);
    return {
        move(6, 1),
        load32(7, 6, offsetof(bpf_sock_ops, op)),
        skip_if_equal(7, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, 2),
        skip_if_equal(7, BPF_SOCK_OPS_STATE_CB, 4),
        instruction(BPF_JMP | BPF_JA, 0, 0, 19, 0), // out
        // a new one:
        move(1, 6),
        set(2, BPF_SOCK_OPS_STATE_CB_FLAG),
        call(BPF_FUNC_sock_ops_cb_flags_set),
        // both:
        store32_value(10, -4, 0),
        move(2, 10),
        add(2, -4),
        instruction(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, cell),
        instruction(0, 0, 0, 0, 0), // its second half
        call(BPF_FUNC_map_lookup_elem),
        skip_if_equal(0, 0, 9), // out
        move(8, 0),
        call(BPF_FUNC_ktime_get_ns),
        store64(8, last_event, 0),
        skip_unless_equal(7, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, 5), // out
        set(1, 1),
        add_to_memory(8, connections, 1),
        load64(1, 8, first),
        skip_unless_equal(1, 0, 1), // out
        store64(8, first, 0),
        // out: "nothing to say" to the operations that ask for a number
        set(1, -1),
        instruction(BPF_STX | BPF_MEM | BPF_W, 6, 1, offsetof(bpf_sock_ops, reply), 0),
        set(0, 1),
        leave(),
    };
}

/// The cell, in our memory.
class Cell {
public:
    static Result<Cell> open(std::uint64_t cgroup_id) {
        const Cgroup cgroup = TRY(open_cgroup(cgroup_id));
        const UniqueFd map = TRY(bpf::find_cell(cgroup.folder.get(), BPF_CGROUP_SOCK_OPS, counter_name));
        void* memory = ::mmap(nullptr, sizeof(Counted), PROT_READ | PROT_WRITE, MAP_SHARED, map.get(), 0);
        if (memory == MAP_FAILED)
            return fail(os_error(errno, "cannot read the counter of connections"));
        return Cell{memory};
    }
    Cell(Cell&& other) noexcept : memory_{std::exchange(other.memory_, nullptr)} {}
    Cell& operator=(Cell&&) = delete;
    ~Cell() {
        if (memory_ != nullptr)
            ::munmap(memory_, sizeof(Counted));
    }
    [[nodiscard]] std::atomic_ref<std::uint64_t> at(std::size_t offset) const {
        return std::atomic_ref{*reinterpret_cast<std::uint64_t*>(static_cast<char*>(memory_) + offset)};
    }

private:
    explicit Cell(void* memory) : memory_{memory} {}
    void* memory_;
};

} // namespace

Result<void> count_connections_of(const Cgroup& cgroup) {
    const std::string doing = "counter of connections on the cgroup '" + cgroup.path + "'";
    if (TRY(bpf::is_attached(cgroup.folder.get(), BPF_CGROUP_SOCK_OPS, counter_name).context(doing)))
        return {};
    const UniqueFd cell = TRY(bpf::make_cell(sizeof(Counted), counter_name).context(doing));
    const auto instructions = counter_program(cell.get());
    const UniqueFd program =
        TRY(bpf::load(BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, counter_name, instructions).context(doing));
    return bpf::attach(cgroup.folder.get(), program.get(), BPF_CGROUP_SOCK_OPS).context(doing);
}

Result<Counted> counted(std::uint64_t cgroup) {
    const Cell cell = TRY(Cell::open(cgroup));
    return Counted{cell.at(offsetof(Counted, connections)).load(), cell.at(offsetof(Counted, last_event)).load(),
                   cell.at(offsetof(Counted, first)).load()};
}

Result<std::uint64_t> take_first(std::uint64_t cgroup) {
    const Cell cell = TRY(Cell::open(cgroup));
    return cell.at(offsetof(Counted, first)).exchange(0);
}

Result<OpenConnections> open_connections(const RunRecord& record) {
    OpenConnections open;
    std::set<std::pair<int, std::uint16_t>> asked;
    for (const RecordedSocket& socket : record.sockets) {
        if (socket.host_port == 0 || !asked.emplace(socket.family, socket.host_port).second)
            continue;
        unsigned listening = 0;
        // Others may listen on this port of other addresses: theirs were made in other cgroups.
        TRY_VOID(for_each_tcp_socket(socket.family, socket.host_port, [&](const DiagSocket& one) {
            if (one.cgroup != record.socket_cgroup)
                return;
            if (one.state == TCP_LISTEN) {
                ++listening;
                open.queued += one.queued;
            } else if (one.inode != 0) {
                ++open.accepted;
            }
        }));
        open.closed += listening == 0 ? 1 : 0;
    }
    return open;
}

} // namespace ctrd::activation
