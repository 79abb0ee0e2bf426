// bpf(2), as far as the guard needs it: a program of two instructions that refuses, on one cgroup.
#pragma once

#include "ctrd/base/fd.hpp"

#include <linux/bpf.h>

namespace ctrd::activation::bpf {

/// A BPF_PROG_TYPE_CGROUP_SOCK_ADDR program that answers EPERM to every call at `where`.
Result<UniqueFd> load_refusal(bpf_attach_type where, const char* name);

/// True where a program of this name is attached at `where` to this very cgroup.
Result<bool> is_attached(int cgroup, bpf_attach_type where, const char* name);

/// Beside whatever else is attached there (BPF_F_ALLOW_MULTI).
Result<void> attach(int cgroup, int program, bpf_attach_type where);

} // namespace ctrd::activation::bpf
