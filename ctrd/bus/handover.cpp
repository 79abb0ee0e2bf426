#include "ctrd/bus/handover.hpp"

#include "ctrd/base/names.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/bus/bind_watch.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/machine_sockets.hpp"
#include "ctrd/bus/outputs.hpp"
#include "ctrd/bus/scope_request.hpp"
#include "ctrd/bus/terminals.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace ctrd::bus {
namespace {

using Json = nlohmann::json;
constexpr std::size_t most_peers = 64;
constexpr std::size_t largest_message = 65536;

/// The socket's mode says the same; this holds whatever became of the mode.
bool is_root(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0;
}

} // namespace

Result<HandoverMessage> parse_handover(std::string_view json) {
    const auto document = Json::parse(json, nullptr, false);
    if (!document.is_object() || !document.contains("name") || !document["name"].is_string())
        return fail(bad_input("malformed message"));
    HandoverMessage message{document["name"].get<std::string>(), 0, document.value("ended", Json(false)) == true};
    TRY_VOID(check_container_name(message.name));
    if (const auto leader = document.find("leader"); leader != document.end() && leader->is_number_unsigned())
        message.leader = leader->get<pid_t>();
    if (message.ended ? message.leader != 0 : message.leader <= 0)
        return fail(bad_input("malformed message"));
    return message;
}

Result<void> Handover::listen(UniqueFd socket) {
    ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
    sd_event_source* source = nullptr;
    if (const int r = sd_event_add_io(event_, &source, socket.get(), EPOLLIN, on_connection, this); r < 0)
        return fail(os_error(-r, "cannot watch the hand-over socket"));
    source_.reset(source);
    socket_ = std::move(socket);
    return {};
}

void Handover::accept() {
    UniqueFd socket{::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!socket) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            log_warning(os_error(errno, "cannot accept a hand-over"));
        return;
    }
    if (!is_root(socket.get()) || peers_.size() >= most_peers) {
        log_warning("refused a hand-over: it came from somebody else than root, or there are too many at once");
        return;
    }
    auto& peer = peers_.emplace_back(Peer{this, std::move(socket), {}});
    sd_event_source* source = nullptr;
    if (const int r = sd_event_add_io(event_, &source, peer.socket.get(), EPOLLIN, on_message, &peer); r < 0) {
        log_warning(os_error(-r, "cannot watch a hand-over"));
        peers_.pop_back();
        return;
    }
    peer.source.reset(source);
}

Result<void> Handover::want_scope(const std::string& text, std::span<const UniqueFd> fds, UniqueFd socket) {
    const auto document = Json::parse(text, nullptr, false);
    const auto request = TRY(parse_scope_request(document.is_object() ? document.value("scope", Json{}) : Json{}));
    if (fds.size() != 1)
        return fail(bad_input("a request for a scope comes with one process"));
    // It may have been ended by now, and its number be another's: the pidfd knows.
    scope_wanted_(request, TRY(pid_of(fds.front().get())), std::move(socket));
    return {};
}

Result<void> Handover::receive(UniqueFd socket) {
    auto received = TRY(receive_fds(socket.get(), largest_message, MSG_DONTWAIT));
    if (received.data.empty())
        return {}; // it was ended before it spoke
    if (received.data.starts_with("{\"scope\":"))
        return want_scope(received.data, received.fds, std::move(socket));
    const auto message = TRY(parse_handover(received.data));
    if (message.ended) {
        ended_(message.name, std::move(socket));
        return {};
    }
    Descriptors descriptors;
    for (UniqueFd& fd : received.fds) {
        if (is_notify_fd(fd.get()))
            descriptors.notify = std::move(fd);
        else if (container_of_socket(fd.get()) == message.name)
            descriptors.machine = std::move(fd);
        else if (is_terminal_master(fd.get()))
            descriptors.terminal = std::move(fd);
        else if (is_pipe(fd.get()))
            descriptors.output = std::move(fd);
        else
            return fail(bad_input("container '" + message.name + "': a descriptor is nothing of ctrd's"));
    }
    received_(message, std::move(descriptors));
    return {};
}

int Handover::on_connection(sd_event_source*, int, std::uint32_t, void* userdata) noexcept {
    static_cast<Handover*>(userdata)->accept();
    return 0;
}

int Handover::on_message(sd_event_source*, int, std::uint32_t, void* userdata) noexcept {
    auto& peer = *static_cast<Peer*>(userdata);
    peer.source.reset();
    if (auto received = peer.handover->receive(std::move(peer.socket)).context("hand-over"); !received)
        log_warning(received.error());
    peer.handover->peers_.remove_if([&](const Peer& one) { return &one == &peer; });
    return 0;
}

} // namespace ctrd::bus
