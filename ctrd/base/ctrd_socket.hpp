// /run/ctrd/handover, where root's own programs speak to ctrd: one message for each connection, SOCK_SEQPACKET.
// ctrd/bus/handover.hpp says which.
#pragma once

#include "ctrd/base/fd.hpp"

namespace ctrd {

constexpr const char* ctrd_socket_path = "/run/ctrd/handover";

/// Not blocking. Starts a ctrd that is installed and does not run; an error where there is none.
Result<UniqueFd> connect_to_ctrd();

} // namespace ctrd
