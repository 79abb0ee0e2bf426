#include "tools/ctr-run/ready.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace ctrd::run {
namespace {

using namespace std::chrono_literals;
constexpr std::chrono::milliseconds quiet_time = 50ms;
constexpr std::chrono::milliseconds longest_straggling = 2000ms;

enum class Event { bind, ended, timeout };

Event wait(int notify_fd, int pidfd, int timeout) {
    std::array waiting{pollfd{notify_fd, POLLIN, 0}, pollfd{pidfd, POLLIN, 0}};
    int n = -1;
    do
        n = ::poll(waiting.data(), waiting.size(), timeout);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return Event::timeout;
    // Hang-up of the first: nobody is left who could bind.
    return (waiting[0].revents & POLLIN) != 0 && waiting[1].revents == 0 ? Event::bind : Event::ended;
}

std::string listed(const std::vector<std::uint16_t>& ports) {
    std::string text = ports.size() == 1 ? "port " : "ports ";
    for (std::size_t i = 0; i < ports.size(); ++i)
        text += (i == 0 ? "" : ", ") + std::to_string(ports[i]);
    return text;
}

} // namespace

Result<std::optional<std::size_t>> BindPhase::answer_one() {
    const auto request = TRY(activation::receive_bind(notify_fd_));
    if (!request)
        return std::nullopt;
    put_back(*request);
    const auto source = [&](std::size_t index) { return sockets_.open_listener(index); };
    auto answer = TRY(activation::answer_bind(notify_fd_, *request, sockets_.listeners(), source)
                          .context("bind of port " + std::to_string(request->port)));
    if (answer.outcome != activation::Outcome::adopted)
        return std::nullopt;
    if (answer.displaced)
        mixed_.push_back({std::move(*answer.displaced), answer.listener});
    return answer.listener;
}

/// At best: without it the payload has two descriptors for one listener, as it would have with one IPv4 listener.
void BindPhase::put_back(const activation::BindRequest& request) {
    const auto index = activation::match(request, sockets_.listeners());
    if (!index || request.family != AF_INET6 || sockets_.listeners()[*index].family != AF_INET6)
        return;
    for (const Mixed& mixed : mixed_)
        if (mixed.listener == *index) [[maybe_unused]]
            auto done =
                activation::put_back(notify_fd_, request, mixed.displaced, sockets_.inode_of(*index), request.port);
    std::erase_if(mixed_, [&](const Mixed& mixed) { return mixed.listener == *index; });
}

Result<void> BindPhase::await_declared(const Deadline& deadline) {
    std::vector<std::uint16_t> missing;
    for (const auto& listener : sockets_.listeners())
        if (std::ranges::find(missing, listener.port) == missing.end())
            missing.push_back(listener.port);
    while (!missing.empty()) {
        switch (wait(notify_fd_, pidfd_, deadline.poll_timeout())) {
        case Event::bind:
            if (const auto index = TRY(answer_one()))
                std::erase(missing, sockets_.listeners()[*index].port);
            break;
        case Event::ended:
            return fail(Error{std::errc::no_child_process, "the payload ended before it bound " + listed(missing),
                              "its own messages are in the journal; its exit status is the unit's"});
        case Event::timeout:
            return fail(Error{std::errc::timed_out, "the payload did not bind " + listed(missing) + " in time",
                              "is 'port' the one that it listens on? 'ready-timeout' says how long to wait"});
        }
    }
    return {};
}

bool BindPhase::answer_stragglers() {
    const Deadline end{longest_straggling};
    for (;;) {
        const int patience = std::min(end.poll_timeout(), static_cast<int>(quiet_time.count()));
        const Event event = wait(notify_fd_, pidfd_, patience);
        if (event != Event::bind)
            return event == Event::timeout;
        // Where it fails, the payload's bind tells it so.
        [[maybe_unused]] auto answered = answer_one();
        if (end.passed())
            return true;
    }
}

std::optional<std::uint16_t> BindPhase::mixed_families() const {
    return mixed_.empty() ? std::nullopt : std::optional{sockets_.listeners()[mixed_.front().listener].port};
}

} // namespace ctrd::run
