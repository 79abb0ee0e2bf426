// A bound for what is written below a folder: the folder and all that comes into it belong to a project of its own,
// whose blocks the file system counts (quotactl(2), "project quotas"). ext4 and xfs have that where they are mounted
// for it.
#pragma once

#include "ctrd/base/result.hpp"

#include <cstdint>

namespace ctrd::image {

inline constexpr const char* how_to_have_project_quotas =
    "ext4 does after 'tune2fs -O project -Q prjquota DEVICE', mounted with 'prjquota'; xfs does mounted with 'pquota'";

/// Whether the file system that `file` is on counts projects' blocks, and heeds their limits.
bool has_project_quotas(int file) noexcept;

/// So many bytes, and no more, for all below `folder`, which nobody else writes to meanwhile; `name` is whose it is.
/// What is there already belongs to the project from now on; links, devices and FIFOs don't count. No more files,
/// either, than would have a block each: empty ones take none. In the host's user namespace the owner of a file may
/// give it to another project, so this binds those alone who are in another one.
Result<void> set_bound(int folder, const std::string& name, std::uint64_t bytes);

/// No bound any more, if there was one.
Result<void> lift_bound(int folder);

} // namespace ctrd::image
