// Whether somebody is connected to a UNIX stream socket. sock_diag can't say: a connection belongs to the network
// namespace of the client, whichever that is. So the descriptors of the container's processes are looked at.
#pragma once

#include "ctrd/activation/traffic.hpp"

namespace ctrd::activation {

[[nodiscard]] bool is_unix_stream(const RecordedSocket& socket) noexcept;

/// Of the record's UNIX stream sockets. What changes while we look may be seen or not: it is exact of a frozen
/// container.
Result<OpenConnections> open_unix_connections(const RunRecord& record);

} // namespace ctrd::activation
