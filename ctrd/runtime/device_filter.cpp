// Rules for devices as a BPF program of type CGROUP_DEVICE. Its context: access_type = access << 16 | type,
// major, minor. The rules are tried from the last to the first: the first that matches decides.
#include "ctrd/runtime/cgroup.hpp"

#include "ctrd/base/fd.hpp"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace ctrd::runtime {
namespace {

bpf_insn instruction(std::uint8_t code, std::uint8_t dst, std::uint8_t src, std::int16_t off, std::int32_t imm) {
    bpf_insn result{};
    result.code = code;
    result.dst_reg = dst & 0xf;
    result.src_reg = src & 0xf;
    result.off = off;
    result.imm = imm;
    return result;
}

std::int32_t access_mask(const std::string& access) {
    std::int32_t mask = 0;
    for (const char c : access)
        mask |= c == 'r' ? BPF_DEVCG_ACC_READ : c == 'w' ? BPF_DEVCG_ACC_WRITE : BPF_DEVCG_ACC_MKNOD;
    return mask;
}

/// r2 type, r3 access, r4 major, r5 minor; r0 and r1 are free.
class DeviceProgram {
public:
    DeviceProgram() {
        load_field(2, offsetof(bpf_cgroup_dev_ctx, access_type));
        load_field(3, offsetof(bpf_cgroup_dev_ctx, access_type));
        add(BPF_ALU | BPF_AND | BPF_K, 2, 0xffff);
        add(BPF_ALU | BPF_RSH | BPF_K, 3, 16);
        load_field(4, offsetof(bpf_cgroup_dev_ctx, major));
        load_field(5, offsetof(bpf_cgroup_dev_ctx, minor));
    }

    /// False: the rule matches everything; the verifier refuses what could come after it.
    bool add_rule(const oci::DeviceRule& rule) {
        std::vector<std::size_t> to_next;
        const auto unless_equal = [&](std::uint8_t reg, std::int64_t value) {
            to_next.push_back(code_.size());
            add(BPF_JMP | BPF_JNE | BPF_K, reg, static_cast<std::int32_t>(value));
        };
        if (rule.type != 'a')
            unless_equal(2, rule.type == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK);
        if (const std::int32_t mask = access_mask(rule.access); mask != 7) {
            // An allow rule must cover all that is asked for; a deny rule matches when it covers any of it.
            code_.push_back(instruction(BPF_ALU | BPF_MOV | BPF_X, 1, 3, 0, 0));
            add(BPF_ALU | BPF_AND | BPF_K, 1, rule.allow ? ~mask & 7 : mask);
            to_next.push_back(code_.size());
            add(BPF_JMP | (rule.allow ? BPF_JNE : BPF_JEQ) | BPF_K, 1, 0);
        }
        if (rule.major >= 0 && rule.type != 'a')
            unless_equal(4, rule.major);
        if (rule.minor >= 0 && rule.type != 'a')
            unless_equal(5, rule.minor);
        finish(rule.allow);
        for (const std::size_t at : to_next)
            code_[at].off = static_cast<std::int16_t>(code_.size() - at - 1);
        return !to_next.empty();
    }

    void finish(bool allow) {
        add(BPF_ALU64 | BPF_MOV | BPF_K, 0, allow ? 1 : 0);
        add(BPF_JMP | BPF_EXIT, 0, 0);
    }

    [[nodiscard]] const std::vector<bpf_insn>& code() const { return code_; }

private:
    void add(std::uint8_t code, std::uint8_t dst, std::int32_t imm) {
        code_.push_back(instruction(code, dst, 0, 0, imm));
    }
    void load_field(std::uint8_t reg, std::size_t offset) {
        code_.push_back(instruction(BPF_LDX | BPF_W | BPF_MEM, reg, 1, static_cast<std::int16_t>(offset), 0));
    }
    std::vector<bpf_insn> code_;
};

/// What every container may use whatever its rules say: the nodes that we make ourselves, and its own terminals; and
/// mknod of anything, which without one of the others opens nothing.
const std::array default_rules{
    oci::DeviceRule{true, 'c', -1, -1, "m"},
    oci::DeviceRule{true, 'b', -1, -1, "m"},
    oci::DeviceRule{true, 'c', 1, 3, "rwm"},
    oci::DeviceRule{true, 'c', 1, 5, "rwm"},
    oci::DeviceRule{true, 'c', 1, 7, "rwm"},
    oci::DeviceRule{true, 'c', 1, 8, "rwm"},
    oci::DeviceRule{true, 'c', 1, 9, "rwm"},
    oci::DeviceRule{true, 'c', 5, 0, "rwm"},
    oci::DeviceRule{true, 'c', 5, 2, "rwm"},
    oci::DeviceRule{true, 'c', 136, -1, "rwm"},
    // /dev/net/tun: whoever has CAP_NET_ADMIN in a network may make interfaces there by other means too.
    oci::DeviceRule{true, 'c', 10, 200, "rwm"},
};

constexpr char program_name[] = "ctrd_devices"; // at most 15 letters

int bpf(int command, bpf_attr& attr) { return static_cast<int>(::syscall(SYS_bpf, command, &attr, sizeof attr)); }

bool is_ours(int program) {
    bpf_prog_info info{};
    bpf_attr query{};
    query.info.bpf_fd = static_cast<std::uint32_t>(program);
    query.info.info_len = sizeof info;
    query.info.info = reinterpret_cast<std::uintptr_t>(&info);
    return bpf(BPF_OBJ_GET_INFO_BY_FD, query) == 0 && std::strcmp(info.name, program_name) == 0;
}

/// The program that an earlier call has attached. The service manager may have one there too.
UniqueFd find_ours(int cgroup) {
    std::array<std::uint32_t, 64> ids{};
    bpf_attr query{};
    query.query.target_fd = static_cast<std::uint32_t>(cgroup);
    query.query.attach_type = BPF_CGROUP_DEVICE;
    query.query.prog_ids = reinterpret_cast<std::uintptr_t>(ids.data());
    query.query.prog_cnt = ids.size();
    if (bpf(BPF_PROG_QUERY, query) < 0)
        return UniqueFd{};
    for (std::uint32_t i = 0; i < query.query.prog_cnt && i < ids.size(); ++i) {
        bpf_attr open{};
        open.prog_id = ids[i];
        UniqueFd program{bpf(BPF_PROG_GET_FD_BY_ID, open)};
        if (program && is_ours(program.get()))
            return program;
    }
    return UniqueFd{};
}

} // namespace

Result<void> limit_devices(const std::string& folder, const std::vector<oci::DeviceRule>& rules) {
    DeviceProgram program;
    const auto add_last_first = [&](const auto& list) {
        return std::all_of(list.rbegin(), list.rend(),
                           [&](const oci::DeviceRule& rule) { return program.add_rule(rule); });
    };
    if (add_last_first(default_rules) && add_last_first(rules))
        program.finish(false);

    static constexpr char license[] = "LGPL";
    bpf_attr load{};
    load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    load.insn_cnt = static_cast<std::uint32_t>(program.code().size());
    load.insns = reinterpret_cast<std::uintptr_t>(program.code().data());
    load.license = reinterpret_cast<std::uintptr_t>(license);
    std::memcpy(load.prog_name, program_name, sizeof program_name);
    const UniqueFd loaded{bpf(BPF_PROG_LOAD, load)};
    if (!loaded)
        return fail(os_error(errno, "linux.resources.devices: cannot load the device filter", "this takes CAP_BPF"));
    const UniqueFd cgroup{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    const UniqueFd before = cgroup ? find_ours(cgroup.get()) : UniqueFd{};
    bpf_attr attach{};
    attach.target_fd = static_cast<std::uint32_t>(cgroup.get());
    attach.attach_bpf_fd = static_cast<std::uint32_t>(loaded.get());
    attach.attach_type = BPF_CGROUP_DEVICE;
    attach.attach_flags = BPF_F_ALLOW_MULTI;
    if (before) {
        attach.attach_flags |= BPF_F_REPLACE;
        attach.replace_bpf_fd = static_cast<std::uint32_t>(before.get());
    }
    if (!cgroup || bpf(BPF_PROG_ATTACH, attach) < 0)
        return fail(os_error(errno, "linux.resources.devices: cannot attach the device filter to '" + folder + "'"));
    return {};
}

} // namespace ctrd::runtime
