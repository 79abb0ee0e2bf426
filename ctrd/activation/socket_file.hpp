// The file of an AF_UNIX socket that is adopted. bind(2) would have made it, and programs look at it afterwards: they
// set its mode and owner, and unlink it at their end.
#pragma once

#include "ctrd/activation/request.hpp"

namespace ctrd::activation {

/// What the caller binds as a path of its own root, without "//" and "/./".
Result<std::string> absolute_path(const BindRequest& request);

/// Makes it as the caller itself would, with its rights, owner and umask; one that an earlier run has left makes way.
/// Nobody listens there: clients come by the host's path. An error's code is what bind(2) would have failed with.
Result<void> make_socket_file(int notify_fd, const BindRequest& request, const std::string& path);

} // namespace ctrd::activation
