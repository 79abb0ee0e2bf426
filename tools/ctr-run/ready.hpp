// The time between exec and READY=1, and the moment after it: the payload binds, we answer.
#pragma once

#include "ctrd/base/deadline.hpp"
#include "tools/ctr-run/output.hpp"
#include "tools/ctr-run/proxy.hpp"
#include "tools/ctr-run/ready_socket.hpp"
#include "tools/ctr-run/sockets.hpp"

#include <functional>

namespace ctrd::run {

class BindPhase {
public:
    using StartProxy = std::function<Result<Proxy>(std::span<const Route>)>;

    /// `notify_fd`: -1 where nothing is adopted. `proxy`: of the sockets that are proxied from the beginning, if any;
    /// `start_proxy` starts one for those that come to it.
    BindPhase(Sockets& sockets, int notify_fd, int pidfd, const Proxy* proxy, StartProxy start_proxy)
        : sockets_{sockets}, notify_fd_{notify_fd}, pidfd_{pidfd}, proxy_{proxy}, start_proxy_{std::move(start_proxy)} {
    }

    /// READY=1 of the payload itself is waited for, too.
    void await_word(ReadySocket* ready) { ready_ = ready; }

    /// What the payload writes meanwhile is passed on: it must not wait for us where we wait for it.
    void read_output(const Output* output) { output_ = output; }

    /// Answers binds until every declared port was bound once, or is listened on behind its proxy. One with deliver =
    /// "auto" that is listened on although nobody saw it bound is proxied. Then, or meanwhile, the payload's own word
    /// that it is ready, where that is waited for. An error names the ports that were not,
    /// because the payload ended or the deadline passed.
    Result<void> await_declared(const Deadline& deadline);

    /// Answers what follows at once, as the second of nginx's 0.0.0.0:80 and [::]:80: a start must not need ctrd.
    /// Returns when the payload has been quiet for a moment; false when it ended.
    bool answer_stragglers();

    /// The port of an IPv4 socket of the payload that got an IPv6 listener, for want of another.
    [[nodiscard]] std::optional<std::uint16_t> mixed_families() const;

private:
    struct Mixed {
        activation::Displaced displaced;
        std::size_t listener{0};
    };

    /// The listener that the payload got, if any.
    Result<std::optional<std::size_t>> answer_one();
    void put_back(const activation::BindRequest& request);

    struct Awaited;
    Result<void> take_ready(const Proxy& proxy, Awaited& awaited);
    Result<void> look_for_others(Awaited& awaited);

    Sockets& sockets_;
    int notify_fd_;
    int pidfd_;
    const Proxy* proxy_;
    StartProxy start_proxy_;
    ReadySocket* ready_{nullptr};   // null when it has come
    const Output* output_{nullptr}; // null when it is at its end
    std::optional<Proxy> fallback_{};
    std::vector<Mixed> mixed_;
};

} // namespace ctrd::run
