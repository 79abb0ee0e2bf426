// /proc/PID/mountinfo: which mounts a process sees, by their ids.
#pragma once

#include "ctrd/base/result.hpp"

#include <sys/types.h>

#include <map>
#include <string>

namespace ctrd::ctr_oci {

/// Mount id to mount point, the latter as that process sees it.
using MountTable = std::map<int, std::string>;

Result<MountTable> mount_table(const std::string& pid); // or "self"
MountTable parse_mount_table(std::string_view text);

/// The id of the mount that an open file is on. `pid` and `fd`: whose and which.
Result<int> mount_id(const std::string& pid, int fd);

/// Whether `path` is below `folder` and not the folder itself.
bool is_below(std::string_view path, std::string_view folder);

} // namespace ctrd::ctr_oci
