#include "ctrd/runtime/seccomp.hpp"

#include "ctrd/base/fd.hpp"
#include "ctrd/base/file.hpp"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace ctrd::runtime {
namespace {

struct Release {
    void operator()(void* filter) const { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

template <class T> struct Named {
    std::string_view name;
    T value;
};

constexpr std::array architectures{
    Named<std::uint32_t>{"SCMP_ARCH_X86", SCMP_ARCH_X86},
    Named<std::uint32_t>{"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    Named<std::uint32_t>{"SCMP_ARCH_X32", SCMP_ARCH_X32},
    Named<std::uint32_t>{"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    Named<std::uint32_t>{"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    Named<std::uint32_t>{"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    Named<std::uint32_t>{"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    Named<std::uint32_t>{"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    Named<std::uint32_t>{"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    Named<std::uint32_t>{"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    Named<std::uint32_t>{"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    Named<std::uint32_t>{"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    Named<std::uint32_t>{"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    Named<std::uint32_t>{"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    Named<std::uint32_t>{"SCMP_ARCH_S390", SCMP_ARCH_S390},
    Named<std::uint32_t>{"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    Named<std::uint32_t>{"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    Named<std::uint32_t>{"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    Named<std::uint32_t>{"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
};

constexpr std::array comparisons{
    Named<scmp_compare>{"SCMP_CMP_NE", SCMP_CMP_NE},
    Named<scmp_compare>{"SCMP_CMP_LT", SCMP_CMP_LT},
    Named<scmp_compare>{"SCMP_CMP_LE", SCMP_CMP_LE},
    Named<scmp_compare>{"SCMP_CMP_EQ", SCMP_CMP_EQ},
    Named<scmp_compare>{"SCMP_CMP_GE", SCMP_CMP_GE},
    Named<scmp_compare>{"SCMP_CMP_GT", SCMP_CMP_GT},
    Named<scmp_compare>{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

constexpr unsigned wait_killable_recv = 1U << 5; // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, of Linux 5.19
constexpr std::array filter_flags{
    Named<unsigned>{"SECCOMP_FILTER_FLAG_TSYNC", 0}, // the child has one thread
    Named<unsigned>{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", wait_killable_recv},
    Named<unsigned>{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    Named<unsigned>{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
};

template <class T, std::size_t N>
Result<T> look_up(const std::array<Named<T>, N>& table, const std::string& name, std::string_view what) {
    for (const auto& entry : table)
        if (entry.name == name)
            return entry.value;
    return fail(bad_input("linux.seccomp: '" + name + "' is not " + std::string{what} + " that ctrd knows"));
}

Result<std::uint32_t> action(const std::string& name, std::optional<std::uint32_t> errno_ret) {
    if (name == "SCMP_ACT_ALLOW")
        return SCMP_ACT_ALLOW;
    if (name == "SCMP_ACT_ERRNO")
        return SCMP_ACT_ERRNO(errno_ret.value_or(EPERM) & 0xffffU);
    if (name == "SCMP_ACT_TRACE")
        return SCMP_ACT_TRACE(errno_ret.value_or(EPERM) & 0xffffU);
    if (errno_ret)
        return fail(bad_input("linux.seccomp: action '" + name + "' takes no errnoRet"));
    if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD")
        return SCMP_ACT_KILL_THREAD;
    if (name == "SCMP_ACT_KILL_PROCESS")
        return SCMP_ACT_KILL_PROCESS;
    if (name == "SCMP_ACT_TRAP")
        return SCMP_ACT_TRAP;
    if (name == "SCMP_ACT_LOG")
        return SCMP_ACT_LOG;
    if (name == "SCMP_ACT_NOTIFY")
        return SCMP_ACT_NOTIFY;
    return fail(bad_input("linux.seccomp: '" + name + "' is not an action that ctrd knows"));
}

Error library_error(int result, const std::string& doing) { return os_error(-result, "linux.seccomp: " + doing); }

Result<void> add_architectures(void* filter, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        const std::uint32_t arch = TRY(look_up(architectures, name, "an architecture"));
        if (const int r = ::seccomp_arch_add(filter, arch); r < 0 && r != -EEXIST)
            return fail(library_error(r, "cannot add the architecture '" + name + "'"));
    }
    return {};
}

/// Each name with arguments becomes an instruction at least. More than the kernel takes would keep the library busy for
/// minutes, since its time grows with their square.
Result<void> check_size(const oci::Seccomp& seccomp) {
    std::size_t least = 0;
    for (const auto& rule : seccomp.rules)
        least += rule.args.empty() ? 0 : rule.names.size();
    if (least > BPF_MAXINSNS)
        return fail(bad_input("linux.seccomp: the profile is too long for the kernel"));
    return {};
}

Result<void> add_rule(void* filter, std::uint32_t act, const oci::SeccompRule& rule) {
    std::vector<scmp_arg_cmp> args;
    bool same_argument_twice = false;
    for (const auto& arg : rule.args) {
        const scmp_compare op = TRY(look_up(comparisons, arg.op, "a comparison"));
        for (const auto& earlier : args)
            same_argument_twice = same_argument_twice || earlier.arg == arg.index;
        args.push_back(op == SCMP_CMP_MASKED_EQ ? scmp_arg_cmp{arg.index, op, arg.value, arg.value_two}
                                                : scmp_arg_cmp{arg.index, op, arg.value, 0});
    }
    for (const std::string& name : rule.names) {
        const int number = ::seccomp_syscall_resolve_name(name.c_str());
        if (number == __NR_SCMP_ERROR)
            continue; // of another kernel or machine
        int r = 0;
        if (!same_argument_twice)
            r = ::seccomp_rule_add_array(filter, act, number, static_cast<unsigned>(args.size()), args.data());
        // libseccomp takes one comparison per argument and rule; several on one are alternatives, as in runc.
        for (std::size_t i = 0; same_argument_twice && i < args.size() && (r == 0 || r == -EEXIST); ++i)
            r = ::seccomp_rule_add_array(filter, act, number, 1, &args[i]);
        if (r < 0 && r != -EEXIST)
            return fail(library_error(r, "cannot add a rule for '" + name + "'"));
    }
    return {};
}

Result<std::vector<sock_filter>> export_program(void* filter) {
    // libseccomp 2.5 can only write to a descriptor.
    UniqueFd file{::memfd_create("seccomp", MFD_CLOEXEC)};
    if (!file)
        return fail(os_error(errno, "cannot make an anonymous file"));
    if (const int r = ::seccomp_export_bpf(filter, file.get()); r < 0)
        return fail(library_error(r, "cannot compile the profile"));
    const off_t size = ::lseek(file.get(), 0, SEEK_CUR);
    std::vector<sock_filter> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
    if (::pread(file.get(), program.data(), static_cast<std::size_t>(size), 0) != size)
        return fail(os_error(EIO, "cannot read the compiled profile back"));
    if (program.size() > BPF_MAXINSNS)
        return fail(bad_input("linux.seccomp: the profile is too long for the kernel"));
    return program;
}

} // namespace

Result<SeccompFilter> compile_seccomp(const oci::Seccomp& seccomp) {
    TRY_VOID(check_size(seccomp));
    const std::uint32_t default_action = TRY(action(seccomp.default_action, seccomp.default_errno_ret));
    const Filter filter{::seccomp_init(default_action)};
    if (!filter)
        return fail(os_error(ENOMEM, "linux.seccomp: cannot make a filter"));
    TRY_VOID(add_architectures(filter.get(), seccomp.architectures));
    // Binary-tree order costs a little here and saves far more in every syscall of the payload.
    ::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (const auto& rule : seccomp.rules) {
        const std::uint32_t act = TRY(action(rule.action, rule.errno_ret));
        if (act != default_action) // libseccomp refuses what changes nothing
            TRY_VOID(add_rule(filter.get(), act, rule));
    }
    SeccompFilter result;
    result.program = TRY(export_program(filter.get()));
    for (const std::string& name : seccomp.flags)
        result.flags |= TRY(look_up(filter_flags, name, "a flag"));
    if (oci::notifies(seccomp))
        result.flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    else
        result.flags &= ~wait_killable_recv; // the kernel takes it only with a listener
    return result;
}

} // namespace ctrd::runtime
