// The steps at which a test ends a program with SIGKILL, as the kernel or an administrator may at any moment: what was
// begun by then is finished or undone by others. Nothing in what is installed; tests/fault makes further programs in
// which they are alive, and tests/integration/39-fault.py tries each that the sources name.
#pragma once

namespace ctrd {

#ifdef CTRD_FAULT_INJECTION
/// Kills this process if /run/ctrd/fault holds this name, once: the file is removed before.
void fault_point(const char* name);
#else
constexpr void fault_point(const char*) {}
#endif

} // namespace ctrd
