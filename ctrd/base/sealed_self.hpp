// CVE-2019-5736: a payload that gets itself executed as /proc/self/exe must not be able to write to our binary.
#pragma once

#include "ctrd/base/result.hpp"

namespace ctrd {

/// Returns when this program runs from a file that nobody can write through it: a read-only mount, or a sealed
/// anonymous file. Where its entry point (sealed_start.cpp) could not bring it there, it executes itself again from
/// one, with the same arguments and environment.
Result<void> run_from_sealed_binary(char* const* argv);

/// Whether the entry point has changed this program over to such a mount.
bool runs_from_sealed_mount() noexcept;

/// Whether `fd` is the descriptor of that mount, which is ours alone.
bool is_sealed_mount(int fd) noexcept;

/// Closes that descriptor, if it is there. Whoever has it last waits for the kernel's RCU: so a child is the first, and
/// its parent does it while the child works. The mount stays as long as anybody runs from it.
void release_sealed_mount() noexcept;

} // namespace ctrd
