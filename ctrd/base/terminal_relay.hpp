// The user's terminal in front, a container's pseudo terminal behind: bytes both ways, resizes, and the user's terminal
// put back as it was on every way out.
#pragma once

#include "ctrd/base/fd.hpp"

#include <functional>

namespace ctrd {

/// Relays between our stdin/stdout and `master` until the other side hangs up. While it runs, ^C and friends are bytes
/// for the payload. `also_readable`: ends the relay too (a pidfd, a bus connection's answer), after what is left of the
/// output has been written; -1: none. `pass_on`: what is done with signals that are sent to us; none: the caller
/// dies of a deadly one, with the terminal in order.
Result<void> relay_terminal(int master, int also_readable, const std::function<void(int)>& pass_on = {});

/// The window size of our own terminal onto `master`; nothing if we have none, or nobody has set its size.
void copy_window_size(int master) noexcept;

} // namespace ctrd
