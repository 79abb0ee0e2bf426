// The proxy of those sockets that are not put into the payload's hands: ctr-proxy, in a cgroup below the payload's, so
// that it is frozen, thawed and killed with it. It and its child are the only processes of ours
// beside a running container.
#pragma once

#include "tools/ctr-run/sockets.hpp"

namespace ctrd::run {

class Proxy {
public:
    struct Place {
        pid_t pid{-1}; // the container's first process
        int pidfd{-1};
        std::string cgroup{}; // the payload's, absolute
    };
    static Result<Proxy> start(const std::string& name, const Place& place, std::span<const Route> routes,
                               std::chrono::milliseconds patience);

    /// Readable when next() has something to say; hung up when the proxy has ended.
    [[nodiscard]] int fd() const { return ready_.get(); }
    /// The number of a route that works now.
    [[nodiscard]] std::optional<std::size_t> next() const;
    /// Nothing of it is needed.
    void end() const;

private:
    Proxy(pid_t pid, UniqueFd ready) : pid_{pid}, ready_{std::move(ready)} {}
    pid_t pid_;
    UniqueFd ready_;
};

} // namespace ctrd::run
