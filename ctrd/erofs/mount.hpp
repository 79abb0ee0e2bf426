// Mounts of EROFS files. Nothing of them is attached anywhere, so they go with whoever holds them.
#pragma once

#include "ctrd/base/fd.hpp"

namespace ctrd::erofs {

/// `file`: open for reading. Read-only; since Linux 6.12 of the file itself, before that through a loop device, which
/// is given back with the mount.
Result<UniqueFd> mount(int file);

/// ENODEV: this kernel has no EROFS.
Result<void> check_kernel();

} // namespace ctrd::erofs
