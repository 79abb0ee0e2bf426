// What `exec` needs of a container's configuration, without reading the whole of it each time: a profile of 400 system
// calls is most of it, and its compilation most of the time.
#pragma once

#include "ctrd/oci/spec.hpp"
#include "ctrd/runtime/seccomp.hpp"

#include <optional>

namespace ctrd::ctr_oci {

struct ExecBase {
    oci::Spec spec{}; // the process, and what else of the configuration each of its processes has
    std::optional<runtime::SeccompFilter> seccomp{};
};

/// From <folder>/exec, which is made of <folder>/config.json when it is not there. Both are ours alone: the folder is
/// its owner's, 0700.
Result<ExecBase> load_exec_base(const std::string& folder);

} // namespace ctrd::ctr_oci
