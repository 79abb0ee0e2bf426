// Adoption: the payload binds a declared port, and the host's listening socket takes the place of its own.
#pragma once

#include "ctrd/activation/request.hpp"

#include <sys/socket.h>

#include <functional>
#include <span>

namespace ctrd::activation {

struct Listener {
    std::uint16_t port{0}; // what the payload binds; 0 where it is a path
    int family{0};         // of the host's socket: AF_INET, AF_INET6 or AF_UNIX
    int type{SOCK_STREAM}; // or SOCK_DGRAM
    std::string path{};    // what the payload binds, in its own root; empty where it is a port
};

enum class Outcome {
    adopted,   // it has the listener now
    continued, // not ours: the kernel did the bind
    gone,      // the caller died or was interrupted meanwhile; an interrupted one comes again
};

/// The payload's own stream socket, in whose place a listener is now.
struct Displaced {
    UniqueFd socket;
    int fd{-1};
    bool close_on_exec{false};
};

struct Answer {
    Outcome outcome{Outcome::continued};
    std::size_t listener{0};              // which one, when adopted
    std::optional<Displaced> displaced{}; // a socket of the other family than the listener's; see put_back()
};

/// Opens listener number N of the list: asked for only when the payload binds its port.
using ListenerSource = std::function<Result<UniqueFd>(std::size_t)>;

/// The listener for a bind of a socket of this type: of the same family before one of the other. A path must be
/// absolute and clean.
std::optional<std::size_t> match(const BindRequest& request, std::span<const Listener> listeners,
                                 int type = SOCK_STREAM);

/// The type of the socket that is about to be bound.
Result<int> type_of(const BindRequest& request);

/// Answers one request in every case: where it fails with an error, the payload's bind failed with EADDRNOTAVAIL.
Result<Answer> answer_bind(int notify_fd, const BindRequest& request, std::span<const Listener> listeners,
                           const ListenerSource& source);

/// A payload that binds both 0.0.0.0:80 and [::]:80 makes a difference between their clients: nginx looks for the
/// virtual server among those of the socket that the client came by. Where there is but one listener, the socket of its
/// own family is the one to be adopted, and the other is the payload's own, in its own network. Bound second, the other
/// one is left to the kernel; bound first, it was adopted for want of a better one, and its place is given back to it
/// now. `request` is the second bind, not answered yet; `listener_inode` must still be what is in that place.
Result<void> put_back(int notify_fd, const BindRequest& request, const Displaced& displaced,
                      std::uint64_t listener_inode, std::uint16_t port);

} // namespace ctrd::activation
