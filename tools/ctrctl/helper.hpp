// The confined programs that ctrctl runs for images (ctr-image, ctr-fetch): started with a socket as descriptor 3, an
// empty environment and no descriptor besides.
#pragma once

#include "ctrd/image/json.hpp"
#include "tools/ctrctl/signal_queue.hpp"

#include <sys/types.h>

namespace ctrd::ctl {

class Helper {
public:
    /// `name` below /usr/lib/ctrd. The terminal's signals are not for it: ctrctl says when it ends.
    static Result<Helper> start(const std::string& name);
    Helper(Helper&& other) noexcept;
    Helper& operator=(Helper&&) = delete;
    /// It is killed, unless it was waited for.
    ~Helper();

    [[nodiscard]] int socket() const { return socket_.get(); }
    Result<void> send(const image::Json& message, std::span<const int> fds) const;
    /// Until it has ended: what it died of, or nothing where it ended well.
    std::optional<Error> wait();
    /// Killed, and gone.
    void kill() noexcept;

private:
    Helper(std::string name, UniqueFd socket, pid_t pid)
        : name_{std::move(name)}, socket_{std::move(socket)}, pid_{pid} {}
    std::string name_;
    UniqueFd socket_;
    pid_t pid_;
};

/// The next message on `socket`; an empty one where the other end has gone. EINTR when one of `signals` has come.
Result<FdMessage> next_message(int socket, const SignalQueue& signals, std::size_t limit);
/// ^C, and what else asks a program to end: blocked from here on. Helpers are started before.
Result<SignalQueue> end_signals();

} // namespace ctrd::ctl
