// ctrd's side: binds that come after the container was ready, as when a server reloads.
#pragma once

#include "ctrd/activation/adopt.hpp"

#include <string>

namespace ctrd::activation {

struct LateBind {
    std::string container{}; // empty: the caller is in no container of ours, its bind was let through
    std::string bound{};     // "port 80"
    Outcome outcome{Outcome::continued};
};

/// Answers one request: the container is told by the caller's cgroup, its listeners by its run record, and the
/// listener itself is taken out of the service manager. Nothing where no request waited. Never blocks; the payload
/// gets an answer whatever fails here.
Result<std::optional<LateBind>> answer_late_bind(int notify_fd);

/// "/machine.slice/ctr@web.service/payload" -> "web". Empty for any other.
std::string container_of_cgroup(std::string_view cgroup);

/// listen(2) again on every adopted listener of the container: after READY, when its payload may have shrunk one.
Result<void> restore_backlogs(std::string_view container);

} // namespace ctrd::activation
