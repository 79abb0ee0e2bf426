// Clients that would wait in vain are told so: accepted and reset.
#pragma once

#include <chrono>
#include <span>

namespace ctrd::activation {

/// Everybody who waits at these listeners, or comes within `time`.
void refuse_clients(std::span<const int> listeners, std::chrono::milliseconds time);

} // namespace ctrd::activation
