// Is this descriptor what that ListenStream= line made?
#pragma once

#include <string_view>

namespace ctrd::run {

/// `listen` is "8080", "0.0.0.0:8080", "[::]:8080" or "/run/x.sock". False for anything but a socket.
bool is_bound_to(int fd, std::string_view listen);

} // namespace ctrd::run
