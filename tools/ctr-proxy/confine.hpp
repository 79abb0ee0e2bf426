// What is left of the proxy's rights while it copies what others have written.
#pragma once

#include "tools/ctr-proxy/options.hpp"

namespace ctrd::proxy {

/// Into the container's network, and where a path is connected to into its file system: nothing of the host's is in
/// sight there.
Result<void> enter_container(const Options& options);

/// Another user, no capability but to connect to a path whoever owns it, and no new privileges.
Result<void> become_nobody(const Options& options);

/// What copies calls only what that takes.
Result<void> allow_only_copying();

} // namespace ctrd::proxy
