// linux.seccomp -> a BPF program, compiled in the parent, so that the child only loads it.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/spec.hpp"

#include <linux/filter.h>

#include <vector>

namespace ctrd::runtime {

struct SeccompFilter {
    std::vector<sock_filter> program{};
    unsigned flags{0}; // SECCOMP_FILTER_FLAG_*
};

/// Syscall names that this kernel's libseccomp does not know are passed over, as every runtime does: a profile lists
/// the syscalls of all kernels and machines.
Result<SeccompFilter> compile_seccomp(const oci::Seccomp& seccomp);

} // namespace ctrd::runtime
