// The terminal of a session in a container that somebody else has opened: machined, for "machinectl shell" and "login".
#pragma once

#include "tools/ctr-run/exec.hpp"

namespace ctrd::run {

/// Makes the request's terminal our stdin, stdout and stderr, where our own messages are read then. `root` is the
/// container's, a hostile one: only what is a slave of its devpts is opened.
Result<void> take_terminal(const std::string& tty, int root);

/// Nobody is at its other end any more.
bool has_hung_up(int terminal) noexcept;

} // namespace ctrd::run
