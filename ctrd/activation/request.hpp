// A bind(2) that waits in the kernel for our answer (seccomp_unotify(2)).
//
// What is read of the caller's memory may change under us: it decides nothing but which of the container's own
// listeners the caller gets.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace ctrd::activation {

struct BindRequest {
    std::uint64_t id{0};
    pid_t thread{0}; // in our pid namespace; it may be any thread of its process
    int fd{-1};      // the caller's own number
    int family{0};   // AF_INET or AF_INET6 with `port`, AF_UNIX with `path`; else AF_UNSPEC: nothing to adopt
    std::uint16_t port{0};
    std::string path{}; // as the caller wrote it: perhaps relative to its working directory
};

/// "port 80", or "'/run/web.sock'".
std::string what_is_bound(const BindRequest& request);

/// Nothing where no request waits any more, as when its caller was killed. Never blocks.
Result<std::optional<BindRequest>> receive_bind(int notify_fd);

/// False: the caller is gone, or a signal interrupted its call; what was learnt from its pid may be another's.
bool still_waits(int notify_fd, const BindRequest& request);

/// The kernel goes on with the bind as if nobody had looked. A caller that is gone is no error.
Result<void> let_continue(int notify_fd, const BindRequest& request);

/// The bind returns 0, or -1 with this errno. A caller that is gone is no error.
Result<void> reply(int notify_fd, const BindRequest& request, int error);

} // namespace ctrd::activation
