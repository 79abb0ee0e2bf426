// What `exec` needs of a container's configuration, without reading the whole of it each time: a profile of 400 system
// calls is most of it, and its compilation most of the time.
#pragma once

#include "ctrd/oci/spec.hpp"
#include "ctrd/runtime/seccomp.hpp"

#include <optional>

namespace ctrd::ctr_oci {

struct ExecBase {
    oci::Process process{};
    std::optional<runtime::SeccompFilter> seccomp{}; // compiled; a profile with an agent is in `common`
    oci::Spec common{};                              // what else every process of the container has; mostly nothing
};

/// From <folder>/exec, which is made of <folder>/config.json when it is not there, but for configurations with what it
/// has no place for. Both are ours alone: the folder is
/// its owner's, 0700.
Result<ExecBase> load_exec_base(const std::string& folder);

} // namespace ctrd::ctr_oci
