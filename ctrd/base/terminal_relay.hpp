// The user's terminal in front, a container's pseudo terminal behind: bytes both ways, resizes, and the user's terminal
// put back as it was on every way out.
#pragma once

#include "ctrd/base/detach_keys.hpp"
#include "ctrd/base/fd.hpp"

#include <functional>

namespace ctrd {

/// Relays between our stdin/stdout and `master` until the other side hangs up. While it runs, ^C and friends are bytes
/// for the payload. `also_readable`: ends the relay too (a pidfd, a bus connection's answer), after what is left of the
/// output has been written; -1: none. `pass_on`: what is done with signals that are sent to us; none: the caller
/// dies of a deadly one, with the terminal in order.
Result<void> relay_terminal(int master, int also_readable, const std::function<void(int)>& pass_on = {});

/// The same with more to choose. It has no `pass_on`: the caller dies of a deadly signal, with the terminal in order.
struct RelayPlan {
    int stream{-1};           // the bytes of the terminal
    int window{-1};           // a descriptor of the terminal itself, for its size
    bool types{true};         // what the user types goes to it; else their terminal stays as it is
    DetachKeys detach_keys{}; // what the user types to leave
};
enum class RelayEnd { hung_up, detached };
/// The end of our input is the end of nothing here: the terminal is not ours alone.
Result<RelayEnd> relay_shared_terminal(const RelayPlan& plan);

/// The window size of our own terminal onto `master`; nothing if we have none, or nobody has set its size.
void copy_window_size(int master) noexcept;

} // namespace ctrd
