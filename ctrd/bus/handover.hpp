// /run/ctrd/handover: ctr-run tells that a container is ready, and hands over what is ctrd's from then on: its seccomp
// notification descriptor, its machine socket, its terminal and its output. And that it has ended, before its unit is
// at rest. ctr-oci asks for a scope there (scope_request.hpp).
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/bus/event.hpp"
#include "machined-plugin/scope.hpp"

#include <sys/types.h>

#include <functional>
#include <list>
#include <span>

namespace ctrd::bus {

struct HandoverMessage {
    std::string name{};
    pid_t leader{0}; // 0 of one that has ended
    bool ended{false};
};
Result<HandoverMessage> parse_handover(std::string_view json);

class Handover {
public:
    struct Descriptors {
        UniqueFd notify{};   // none where the container adopts no socket
        UniqueFd machine{};  // none where a systemd runs in the container
        UniqueFd terminal{}; // its master; none where terminal = true is not declared
        UniqueFd output{};   // the pipe that it writes to; none where that is the journal's socket
    };
    using Received = std::function<void(const HandoverMessage& message, Descriptors descriptors)>;
    /// ctr-run waits until a byte comes over `asker`, or its end.
    using Ended = std::function<void(const std::string& name, UniqueFd asker)>;
    /// `pid`: whom it is for. ctr-oci waits for an answer.
    using ScopeWanted = std::function<void(const systemd::ScopeRequest& request, pid_t pid, UniqueFd asker)>;
    Handover(sd_event* event, Received received, Ended ended, ScopeWanted scope_wanted)
        : event_{event}, received_{std::move(received)}, ended_{std::move(ended)}, scope_wanted_{
                                                                                       std::move(scope_wanted)} {}
    Handover(const Handover&) = delete;
    Handover& operator=(const Handover&) = delete;

    Result<void> listen(UniqueFd socket);

private:
    struct Peer {
        Handover* handover{nullptr};
        UniqueFd socket{};
        EventSource source{};
    };
    void accept();
    Result<void> receive(UniqueFd socket);
    Result<void> want_scope(const std::string& text, std::span<const UniqueFd> fds, UniqueFd socket);
    static int on_connection(sd_event_source* source, int fd, std::uint32_t events, void* userdata) noexcept;
    static int on_message(sd_event_source* source, int fd, std::uint32_t events, void* userdata) noexcept;

    sd_event* event_;
    Received received_;
    Ended ended_;
    ScopeWanted scope_wanted_;
    UniqueFd socket_{};
    EventSource source_{};
    std::list<Peer> peers_{};
};

} // namespace ctrd::bus
