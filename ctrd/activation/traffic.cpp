#include "ctrd/activation/traffic.hpp"

#include "ctrd/activation/bpf.hpp"
#include "ctrd/activation/bpf_code.hpp"
#include "ctrd/activation/datagrams.hpp"
#include "ctrd/activation/sock_diag.hpp"
#include "ctrd/activation/unix_traffic.hpp"

#include <netinet/tcp.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <set>

namespace ctrd::activation {
namespace {

constexpr const char* counter_name = "ctrd_counter";

/// A connection that came in is counted and asked to report its states; any change of a state is an event.
/// r6: the context, r7: the operation, r8: the cell.
std::array<bpf_insn, 28> counter_program(int cell) {
    using namespace bpf;
    constexpr int connections = offsetof(Counted, connections);
    constexpr int last_event = offsetof(Counted, last_event);
    constexpr int first = offsetof(Counted, first);
    return {
        move(6, 1),
        load(BPF_W, 7, 6, offsetof(bpf_sock_ops, op)),
        skip_if_equal(7, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, 2),
        skip_if_equal(7, BPF_SOCK_OPS_STATE_CB, 4),
        skip(19), // out
        // a new one:
        move(1, 6),
        set(2, BPF_SOCK_OPS_STATE_CB_FLAG),
        call(BPF_FUNC_sock_ops_cb_flags_set),
        // both:
        store_value(BPF_W, 10, -4, 0),
        move(2, 10),
        add(2, -4),
        map(1, cell),
        map_second_half(),
        call(BPF_FUNC_map_lookup_elem),
        skip_if_equal(0, 0, 9), // out
        move(8, 0),
        call(BPF_FUNC_ktime_get_ns),
        store(BPF_DW, 8, last_event, 0),
        skip_unless_equal(7, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, 5), // out
        set(1, 1),
        add_to_memory(8, connections, 1),
        load(BPF_DW, 1, 8, first),
        skip_unless_equal(1, 0, 1), // out
        store(BPF_DW, 8, first, 0),
        // out: "nothing to say" to the operations that ask for a number
        set(1, -1),
        store(BPF_W, 6, offsetof(bpf_sock_ops, reply), 1),
        set(0, 1),
        leave(),
    };
}

/// A cell, in our memory.
class Cell {
public:
    static Result<Cell> open(const Cgroup& cgroup, bpf_attach_type where, const char* name) {
        const UniqueFd map = TRY(bpf::find_cell(cgroup.folder.get(), where, name));
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

/// The one for connections and, where the container has datagram sockets, the one for these.
Result<std::vector<Cell>> cells_of(std::uint64_t cgroup_id) {
    const Cgroup cgroup = TRY(open_cgroup(cgroup_id));
    std::vector<Cell> cells;
    cells.push_back(TRY(Cell::open(cgroup, BPF_CGROUP_SOCK_OPS, counter_name)));
    if (auto datagrams = Cell::open(cgroup, BPF_CGROUP_INET_INGRESS, datagram_counter_name))
        cells.push_back(std::move(*datagrams));
    return cells;
}

/// The earlier one that is not 0.
std::uint64_t earlier(std::uint64_t one, std::uint64_t other) {
    return one == 0 || other == 0 ? one + other : std::min(one, other);
}

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
    Counted sum;
    for (const Cell& cell : TRY(cells_of(cgroup))) {
        sum.connections += cell.at(offsetof(Counted, connections)).load();
        sum.last_event = std::max(sum.last_event, cell.at(offsetof(Counted, last_event)).load());
        sum.first = earlier(sum.first, cell.at(offsetof(Counted, first)).load());
    }
    return sum;
}

Result<std::uint64_t> take_first(std::uint64_t cgroup) {
    std::uint64_t first = 0;
    for (const Cell& cell : TRY(cells_of(cgroup)))
        first = earlier(first, cell.at(offsetof(Counted, first)).exchange(0));
    return first;
}

Result<OpenConnections> open_connections(const RunRecord& record) {
    OpenConnections open = TRY(open_unix_connections(record));
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
