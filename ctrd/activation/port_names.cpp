#include "ctrd/activation/port_names.hpp"

#include "ctrd/activation/bpf.hpp"
#include "ctrd/activation/bpf_code.hpp"

#include <arpa/inet.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace ctrd::activation {
namespace {

struct Hook {
    bpf_attach_type where;
    const char* name;
};
constexpr std::array hooks{Hook{BPF_CGROUP_INET4_GETSOCKNAME, "ctrd_name4"},
                           Hook{BPF_CGROUP_INET6_GETSOCKNAME, "ctrd_name6"}};

struct Key {
    std::uint64_t cgroup{0};
    std::uint64_t host_port{0}; // as the kernel has it: network order, in a word
};
constexpr std::uint32_t most_names = 512;

/// r6: the context.
std::array<bpf_insn, 15> naming_program(int names) {
    using namespace bpf;
    constexpr int user_port = offsetof(bpf_sock_addr, user_port);
    constexpr int key = -static_cast<int>(sizeof(Key));
    return {
        move(6, 1),
        call(BPF_FUNC_get_current_cgroup_id),
        store(BPF_DW, 10, key, 0),
        load(BPF_W, 1, 6, user_port),
        store(BPF_DW, 10, key + static_cast<int>(offsetof(Key, host_port)), 1),
        move(2, 10),
        add(2, key),
        map(1, names),
        map_second_half(),
        call(BPF_FUNC_map_lookup_elem),
        skip_if_equal(0, 0, 2), // out
        load(BPF_W, 1, 0, 0),
        store(BPF_W, 6, user_port, 1),
        // out
        set(0, 1),
        leave(),
    };
}

Result<std::uint64_t> cgroup_id(const std::string& folder) {
    struct stat st {};
    if (::stat(folder.c_str(), &st) < 0)
        return fail(os_error(errno, "cannot look at '" + folder + "'"));
    return st.st_ino;
}

/// The map that both programs look into, one for all runs of a container.
Result<UniqueFd> attach_programs(const Cgroup& listeners) {
    UniqueFd map = TRY(bpf::make_hash(sizeof(Key), sizeof(std::uint32_t), most_names, "ctrd_names"));
    const auto instructions = naming_program(map.get());
    for (const Hook& hook : hooks) {
        const UniqueFd program = TRY(bpf::load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, hook.where, hook.name, instructions));
        TRY_VOID(bpf::attach(listeners.folder.get(), program.get(), hook.where));
    }
    return map;
}

Result<UniqueFd> find_map(const Cgroup& listeners) {
    // The last to be attached: with it both are there.
    auto map = bpf::find_cell(listeners.folder.get(), hooks.back().where, hooks.back().name);
    return map || map.error().code != std::errc::no_such_file_or_directory ? std::move(map)
                                                                           : attach_programs(listeners);
}

} // namespace

Result<void> name_ports(const Cgroup& listeners, const std::string& payload, std::span<const PortName> names) {
    const UniqueFd map = TRY(find_map(listeners).context("names of ports on the cgroup '" + listeners.path + "'"));
    const std::uint64_t id = TRY(cgroup_id(payload));
    TRY_VOID(bpf::erase_if(map.get(), sizeof(Key), [id](const void* key) { // of runs before
        return static_cast<const Key*>(key)->cgroup != id;
    }));
    for (const PortName& name : names) {
        const Key key{id, htons(name.host_port)};
        const std::uint32_t port = htons(name.port);
        TRY_VOID(bpf::put(map.get(), &key, &port));
    }
    return {};
}

} // namespace ctrd::activation
