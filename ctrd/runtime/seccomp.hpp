// linux.seccomp -> a BPF program, compiled in the parent, so that the child only loads it.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/spec.hpp"

#include <linux/filter.h>

#include <vector>

namespace ctrd::runtime {

struct SeccompFilter {
    std::vector<sock_filter> program{};
    unsigned flags{0}; // SECCOMP_FILTER_FLAG_*; NEW_LISTENER where a rule notifies
};

/// Bumped when the same profile compiles to another program: what was cached before is then compiled anew.
constexpr std::string_view seccomp_compiler = "1";

/// Syscall names that this kernel's libseccomp does not know are passed over, as every runtime does: a profile lists
/// the syscalls of all kernels and machines.
Result<SeccompFilter> compile_seccomp(const oci::Seccomp& seccomp);

/// The same, from the cache if it is there. Compiling what Podman writes by default takes ten times as long as the rest
/// of a start.
///
///     <folder>/<hash of the profile>: magic, sizes, the profile as text, the program
///
/// Only what its owner, who is ourselves, alone can write is read, and the whole profile is compared, not its hash: who
/// can make two profiles with one hash wins a second compilation. `folder` empty: no cache. Never fails on the cache.
Result<SeccompFilter> cached_seccomp(const oci::Seccomp& seccomp, const std::string& folder);

/// /run/ctrd/seccomp for root, below $XDG_RUNTIME_DIR for others; empty where there is neither.
std::string seccomp_cache_folder();

} // namespace ctrd::runtime
