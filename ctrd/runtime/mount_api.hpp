// The mount system calls in the shapes that we use. -1 and errno; no allocation: parent and child call them alike.
#pragma once

#include "ctrd/plan/plan.hpp"

#include <sys/mount.h>

namespace ctrd::runtime {

/// A mount's attributes and propagation, step by step as the configuration lists them.
int set_mount_attributes(int tree, const plan::MountAttributes& attributes) noexcept;

/// mount_setattr(2) of `set` on a tree.
int make_read_only(int tree, bool recursive) noexcept;

/// A new file system instance, configured and mounted with `attributes` but attached nowhere. The attributes that are
/// set count at this very call: in a user namespace the kernel compares them with those of the host's own instance.
/// `mode`: one more option, unless negative.
int make_fs(const char* type, const char* source, const std::vector<plan::FsOption>& options,
            const plan::MountAttributes& attributes, int mode = -1) noexcept;

/// Writes a file below /proc through a procfs of our own that is attached nowhere: no mount and no link of the image
/// can stand in for it (CVE-2019-16884, CVE-2025-52881). 0 or an errno.
int write_proc(const char* path, const char* data, std::size_t size) noexcept;

/// A second, detached mount of what `fd` (O_PATH will do) shows.
int clone_mount(int fd, bool recursive) noexcept;

/// MS_SLAVE, MS_REC|MS_PRIVATE, ... 0 or -1.
int set_propagation(int tree, std::uint64_t flags) noexcept;

/// Attaches a detached mount on the file or folder that `target` is open on.
int attach(int tree, int target) noexcept;

} // namespace ctrd::runtime
