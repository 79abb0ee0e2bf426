// Which extended attributes of a layer's files become real: those that mean something inside the container. What would
// steer overlayfs or the host's security modules does not.
#pragma once

#include "ctrd/image/tar.hpp"

namespace ctrd::image {

/// user.* without overlayfs' own, security.capability, POSIX ACLs.
bool takes_xattr(std::string_view name) noexcept;
Result<void> set_xattrs(int file, const TarEntry& entry);

/// overlayfs' mark of a folder that hides what is below it: this is "y". Not trusted.*: setting that takes
/// CAP_SYS_ADMIN.
inline constexpr const char* opaque_name = "user.overlay.opaque";
/// 0, or -1 and errno.
int set_opaque(int folder) noexcept;
bool is_opaque(int folder) noexcept;

/// All that a file has and takes_xattr() takes.
Result<std::vector<std::pair<std::string, std::string>>> read_xattrs(int file);

} // namespace ctrd::image
