// What the caller's environment and the image's /etc/passwd add to a process.
#pragma once

#include "ctrd/oci/spec.hpp"
#include "tools/ctr-oci/options.hpp"

namespace ctrd::ctr_oci {

/// HOME, where the configuration does not set it, or to nothing: Docker and containerd count on the runtime for that.
/// `root` is looked into as the hostile folder that it is.
void add_home(oci::Process& process, const std::string& root);

/// The home of `uid` in the text of an /etc/passwd; "/" if there is none.
std::string home_of(std::string_view passwd, std::uint32_t uid);

/// $LISTEN_FDS: sockets that a service manager has opened for the container. 0 if they are not for us.
unsigned listen_fds();

/// 3 .. 3 + count - 1, and -1 in the place of each that is not open. To be asked before we open anything: a number that
/// nobody has given to us would be one of our own descriptors later on, and go to the payload.
std::vector<int> open_descriptors(unsigned count);

} // namespace ctrd::ctr_oci
