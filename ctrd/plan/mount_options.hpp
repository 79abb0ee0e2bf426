// The option words of mount(8) and the runtime-spec, sorted into what the kernel wants from whom.
#pragma once

#include "ctrd/plan/plan.hpp"

namespace ctrd::plan {

struct MountOptions {
    bool bind{false};
    bool recursive_bind{false};
    bool remount{false};
    bool copy_up{false};
    enum class IdMapping { none, one, recursive } id_map{IdMapping::none};
    MountAttributes attributes{};
    std::vector<FsOption> data{}; // for the file system itself
};

Result<MountOptions> parse_mount_options(const oci::Mount& mount);

/// "rslave" -> MS_SLAVE | MS_REC; 0 for an unknown word.
std::uint64_t propagation_flag(std::string_view word);

} // namespace ctrd::plan
