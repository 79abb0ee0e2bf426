// /run/ctrd/handover, where root's own programs speak to ctrd: one message for each connection, SOCK_SEQPACKET.
// ctrd/bus/handover.hpp says which.
#pragma once

#include "ctrd/base/fd.hpp"

namespace ctrd {

constexpr const char* ctrd_socket_path = "/run/ctrd/handover";

/// Not blocking. Starts a ctrd that is installed and does not run; an error where there is none.
Result<UniqueFd> connect_to_ctrd();

/// Held by a ctrd as long as it lives; to be kept.
Result<UniqueFd> hold_running_lock();
/// Whether one does, for who can do without and does not want it started.
bool is_ctrd_running() noexcept;

} // namespace ctrd
