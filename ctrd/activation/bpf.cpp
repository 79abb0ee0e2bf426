#include "ctrd/activation/bpf.hpp"

#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace ctrd::activation::bpf {
namespace {

constexpr std::size_t most_programs = 64; // the kernel's own limit for one cgroup and type

long call(bpf_cmd command, bpf_attr& attributes) { return ::syscall(SYS_bpf, command, &attributes, sizeof attributes); }

std::uint64_t pointer(const void* to) { return reinterpret_cast<std::uintptr_t>(to); }

Result<bool> has_name(std::uint32_t id, const char* name) {
    bpf_attr attributes{};
    attributes.prog_id = id;
    const UniqueFd program{static_cast<int>(call(BPF_PROG_GET_FD_BY_ID, attributes))};
    if (!program && errno == ENOENT)
        return false; // detached since we asked
    if (!program)
        return fail(os_error(errno, "cannot look at a BPF program"));
    bpf_prog_info info{};
    attributes = {};
    attributes.info.bpf_fd = static_cast<std::uint32_t>(program.get());
    attributes.info.info_len = sizeof info;
    attributes.info.info = pointer(&info);
    if (call(BPF_OBJ_GET_INFO_BY_FD, attributes) < 0)
        return fail(os_error(errno, "cannot look at a BPF program"));
    return std::strncmp(info.name, name, sizeof info.name) == 0;
}

} // namespace

Result<UniqueFd> load_refusal(bpf_attach_type where, const char* name) {
    // r0 = 0; exit
    const std::array program{
        bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
        bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    bpf_attr attributes{};
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
    attributes.expected_attach_type = where;
    attributes.insns = pointer(program.data());
    attributes.insn_cnt = program.size();
    attributes.license = pointer("LGPL");
    std::strncpy(attributes.prog_name, name, sizeof attributes.prog_name - 1);
    UniqueFd fd{static_cast<int>(call(BPF_PROG_LOAD, attributes))};
    if (!fd)
        return fail(os_error(errno, "cannot load the BPF program '" + std::string{name} + "'"));
    return fd;
}

Result<bool> is_attached(int cgroup, bpf_attach_type where, const char* name) {
    std::array<std::uint32_t, most_programs> ids{};
    bpf_attr attributes{};
    attributes.query.target_fd = static_cast<std::uint32_t>(cgroup);
    attributes.query.attach_type = where;
    attributes.query.prog_ids = pointer(ids.data());
    attributes.query.prog_cnt = ids.size();
    if (call(BPF_PROG_QUERY, attributes) < 0)
        return fail(os_error(errno, "cannot list the BPF programs of a cgroup"));
    for (std::uint32_t i = 0; i < attributes.query.prog_cnt && i < ids.size(); ++i)
        if (TRY(has_name(ids[i], name)))
            return true;
    return false;
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
