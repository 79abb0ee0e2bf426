#include "ctrd/activation/bpf.hpp"

#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

namespace ctrd::activation::bpf {
namespace {

constexpr std::size_t most_programs = 64; // the kernel's own limit for one cgroup and type

long call(bpf_cmd command, bpf_attr& attributes) { return ::syscall(SYS_bpf, command, &attributes, sizeof attributes); }

std::uint64_t pointer(const void* to) { return reinterpret_cast<std::uintptr_t>(to); }

struct Program {
    UniqueFd fd{};
    bpf_prog_info info{};
    std::array<std::uint32_t, 2> maps{}; // their ids; 0: there is none
};

/// No descriptor: it was detached since we asked.
Result<Program> open_program(std::uint32_t id) {
    Program program;
    bpf_attr attributes{};
    attributes.prog_id = id;
    program.fd = UniqueFd{static_cast<int>(call(BPF_PROG_GET_FD_BY_ID, attributes))};
    if (!program.fd && errno == ENOENT)
        return program;
    if (!program.fd)
        return fail(os_error(errno, "cannot look at a BPF program"));
    program.info.nr_map_ids = program.maps.size();
    program.info.map_ids = pointer(program.maps.data());
    attributes = {};
    attributes.info.bpf_fd = static_cast<std::uint32_t>(program.fd.get());
    attributes.info.info_len = sizeof program.info;
    attributes.info.info = pointer(&program.info);
    if (call(BPF_OBJ_GET_INFO_BY_FD, attributes) < 0)
        return fail(os_error(errno, "cannot look at a BPF program"));
    return program;
}

/// The one of this name; no descriptor where there is none.
Result<Program> find(int cgroup, bpf_attach_type where, const char* name) {
    std::array<std::uint32_t, most_programs> ids{};
    bpf_attr attributes{};
    attributes.query.target_fd = static_cast<std::uint32_t>(cgroup);
    attributes.query.attach_type = where;
    attributes.query.prog_ids = pointer(ids.data());
    attributes.query.prog_cnt = ids.size();
    if (call(BPF_PROG_QUERY, attributes) < 0)
        return fail(os_error(errno, "cannot list the BPF programs of a cgroup"));
    for (std::uint32_t i = 0; i < attributes.query.prog_cnt && i < ids.size(); ++i) {
        Program program = TRY(open_program(ids[i]));
        if (program.fd && std::strncmp(program.info.name, name, sizeof program.info.name) == 0)
            return program;
    }
    return Program{};
}

struct MapShape {
    std::uint32_t key_size{0};
    std::uint32_t value_size{0};
    std::uint32_t entries{0};
};

Result<UniqueFd> make_map(bpf_map_type type, const MapShape& shape, std::uint32_t flags, const char* name) {
    bpf_attr attributes{};
    attributes.map_type = type;
    attributes.key_size = shape.key_size;
    attributes.value_size = shape.value_size;
    attributes.max_entries = shape.entries;
    attributes.map_flags = flags;
    std::strncpy(attributes.map_name, name, sizeof attributes.map_name - 1);
    UniqueFd fd{static_cast<int>(call(BPF_MAP_CREATE, attributes))};
    if (!fd)
        return fail(os_error(errno, "cannot make the BPF map '" + std::string{name} + "'"));
    return fd;
}

} // namespace

Result<UniqueFd> load_refusal(bpf_attach_type where, const char* name) {
    // r0 = 0; exit
    const std::array program{
        bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
        bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    return load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, where, name, program);
}

Result<UniqueFd> load(bpf_prog_type type, bpf_attach_type where, const char* name, std::span<const bpf_insn> program) {
    bpf_attr attributes{};
    attributes.prog_type = type;
    attributes.expected_attach_type = where;
    attributes.insns = pointer(program.data());
    attributes.insn_cnt = static_cast<std::uint32_t>(program.size());
    attributes.license = pointer("LGPL");
    std::strncpy(attributes.prog_name, name, sizeof attributes.prog_name - 1);
    UniqueFd fd{static_cast<int>(call(BPF_PROG_LOAD, attributes))};
    if (!fd)
        return fail(os_error(errno, "cannot load the BPF program '" + std::string{name} + "'"));
    return fd;
}

Result<UniqueFd> make_cell(std::uint32_t size, const char* name) {
    return make_map(BPF_MAP_TYPE_ARRAY, {sizeof(std::uint32_t), size, 1}, BPF_F_MMAPABLE, name);
}

Result<UniqueFd> make_lru(std::uint32_t key_size, std::uint32_t value_size, std::uint32_t entries, const char* name) {
    return make_map(BPF_MAP_TYPE_LRU_HASH, {key_size, value_size, entries}, 0, name);
}

Result<UniqueFd> make_hash(std::uint32_t key_size, std::uint32_t value_size, std::uint32_t entries, const char* name) {
    return make_map(BPF_MAP_TYPE_HASH, {key_size, value_size, entries}, BPF_F_NO_PREALLOC, name);
}

Result<void> erase_if(int map, std::uint32_t key_size, const std::function<bool(const void* key)>& is_gone) {
    std::vector<std::string> gone;
    std::string key;
    std::string next(key_size, '\0');
    bpf_attr attributes{};
    attributes.map_fd = static_cast<std::uint32_t>(map);
    for (;;) {
        attributes.key = key.empty() ? 0 : pointer(key.data());
        attributes.next_key = pointer(next.data());
        if (call(BPF_MAP_GET_NEXT_KEY, attributes) < 0) {
            if (errno == ENOENT)
                break; // that was the last one
            return fail(os_error(errno, "cannot read a BPF map"));
        }
        key = next;
        if (is_gone(key.data()))
            gone.push_back(key);
    }
    for (const std::string& one : gone) {
        attributes = {};
        attributes.map_fd = static_cast<std::uint32_t>(map);
        attributes.key = pointer(one.data());
        if (call(BPF_MAP_DELETE_ELEM, attributes) < 0 && errno != ENOENT)
            return fail(os_error(errno, "cannot remove an entry of a BPF map"));
    }
    return {};
}

Result<void> put(int map, const void* key, const void* value) {
    bpf_attr attributes{};
    attributes.map_fd = static_cast<std::uint32_t>(map);
    attributes.key = pointer(key);
    attributes.value = pointer(value);
    if (call(BPF_MAP_UPDATE_ELEM, attributes) < 0)
        return fail(os_error(errno, "cannot write to a BPF map"));
    return {};
}

Result<UniqueFd> find_cell(int cgroup, bpf_attach_type where, const char* name) {
    return find_map(cgroup, where, name, 0);
}

Result<UniqueFd> find_map(int cgroup, bpf_attach_type where, const char* name, std::size_t index) {
    const Program program = TRY(find(cgroup, where, name));
    const std::uint32_t id = program.maps.at(index);
    bpf_attr attributes{};
    attributes.map_id = id;
    UniqueFd fd{id == 0 ? -1 : static_cast<int>(call(BPF_MAP_GET_FD_BY_ID, attributes))};
    if (!fd)
        return fail(
            os_error(id == 0 ? ENOENT : errno, "cannot find the map of the BPF program '" + std::string{name} + "'"));
    return fd;
}

Result<bool> is_attached(int cgroup, bpf_attach_type where, const char* name) {
    return static_cast<bool>(TRY(find(cgroup, where, name)).fd);
}

Result<void> attach(int cgroup, int program, bpf_attach_type where) {
    bpf_attr attributes{};
    attributes.target_fd = static_cast<std::uint32_t>(cgroup);
    attributes.attach_bpf_fd = static_cast<std::uint32_t>(program);
    attributes.attach_type = where;
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    if (call(BPF_PROG_ATTACH, attributes) < 0)
        return fail(os_error(errno, "cannot attach a BPF program to a cgroup"));
    return {};
}

} // namespace ctrd::activation::bpf
