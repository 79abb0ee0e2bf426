// What the payload set on its own socket before it bound it holds for the listener that takes its place.
#pragma once

#include "ctrd/activation/caller.hpp"

namespace ctrd::activation {

/// O_NONBLOCK, and each option that is not as a new socket has it: one that the payload has not touched stays as the
/// socket unit says. An option that can't be set on a socket that is bound already is left out.
Result<void> carry_over(const Caller& caller, int listener);

} // namespace ctrd::activation
