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

/// A socket of a program that binds late is looked for only when most have bound theirs.
constexpr std::chrono::milliseconds look_after = 300ms;

enum class Event { bind, proxy, fallback, word, output, ended, timeout };

Event wait(int notify_fd, int pidfd, int timeout, const Proxy* proxy = nullptr, const Proxy* fallback = nullptr,
           const ReadySocket* ready = nullptr, const Output* output = nullptr) {
    std::array waiting{pollfd{notify_fd, POLLIN, 0},
                       pollfd{pidfd, POLLIN, 0},
                       pollfd{proxy == nullptr ? -1 : proxy->fd(), POLLIN, 0},
                       pollfd{fallback == nullptr ? -1 : fallback->fd(), POLLIN, 0},
                       pollfd{ready == nullptr ? -1 : ready->fd(), POLLIN, 0},
                       pollfd{output == nullptr ? -1 : output->fd(), POLLIN, 0}};
    int n = -1;
    do
        n = ::poll(waiting.data(), waiting.size(), timeout);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return Event::timeout;
    if (waiting[4].revents != 0) // before its end: it may have said so and have ended well
        return Event::word;
    const bool has_written = waiting[5].revents != 0;
    if (waiting[1].revents != 0)
        return has_written ? Event::output : Event::ended; // its last words, too
    if (waiting[2].revents != 0)
        return Event::proxy;
    if (waiting[3].revents != 0)
        return Event::fallback;
    if ((waiting[0].revents & POLLIN) != 0)
        return Event::bind;
    // After all others: a program may write without end. A hang-up of the first: nobody is left who could bind.
    return has_written ? Event::output : Event::ended;
}

/// One bind that is waited for; which family it has is the payload's business.
struct Place {
    std::uint16_t port{0};
    int type{0};
    std::string path{};
    std::size_t number{0}; // of a socket that has it
    bool automatic{false};
    bool proxied{false};
    bool operator==(const Place& other) const { return port == other.port && type == other.type && path == other.path; }
};

Place place_of(const activation::Listener& listener) { return {listener.port, listener.type, listener.path}; }

std::string word(const Place& place) {
    if (!place.path.empty())
        return "'" + place.path + "'";
    return (place.type == SOCK_DGRAM ? "UDP port " : "port ") + std::to_string(place.port);
}

std::string text(const std::vector<Place>& places) {
    if (places.empty())
        return "any port of its ranges";
    std::string text;
    for (std::size_t i = 0; i < places.size(); ++i)
        text += (i == 0 ? "" : ", ") + word(places[i]);
    return text;
}

/// Every place but those of ranges, which a payload binds when it needs them; only of those where there is nothing
/// else, the first that it binds.
std::vector<Place> awaited(const Sockets& sockets) {
    std::vector<Place> places;
    for (std::size_t i = 0; i < sockets.listeners().size(); ++i) {
        Place place = place_of(sockets.listeners()[i]);
        place.number = sockets.number_of(i);
        place.automatic = sockets.is_automatic(i);
        if (sockets.is_awaited(i) && std::ranges::find(places, place) == places.end())
            places.push_back(place);
    }
    for (const Route& route : sockets.proxied())
        if (!route.at_once)
            places.push_back(
                {route.port, route.datagram ? SOCK_DGRAM : SOCK_STREAM, route.path, route.number, false, true});
    return places;
}

} // namespace

Result<std::optional<std::size_t>> BindPhase::answer_one() {
    const auto request = TRY(activation::receive_bind(notify_fd_));
    if (!request)
        return std::nullopt;
    put_back(*request);
    const auto source = [&](std::size_t index) { return sockets_.open_listener(index); };
    auto answer = TRY(activation::answer_bind(notify_fd_, *request, sockets_.listeners(), source)
                          .context("bind of " + what_is_bound(*request)));
    if (answer.outcome != activation::Outcome::adopted)
        return std::nullopt;
    if (answer.displaced)
        mixed_.push_back({std::move(*answer.displaced), answer.listener});
    return answer.listener;
}

/// At best: without it the payload has two descriptors for one listener.
void BindPhase::put_back(const activation::BindRequest& request) {
    if (mixed_.empty() || activation::type_of(request).value_or(0) != SOCK_STREAM)
        return;
    const auto index = activation::match(request, sockets_.listeners());
    if (!index || request.family != sockets_.listeners()[*index].family)
        return;
    for (const Mixed& mixed : mixed_)
        if (mixed.listener == *index) [[maybe_unused]]
            auto done =
                activation::put_back(notify_fd_, request, mixed.displaced, sockets_.inode_of(*index), request.port);
    std::erase_if(mixed_, [&](const Mixed& mixed) { return mixed.listener == *index; });
}

struct BindPhase::Awaited {
    std::vector<Place> missing;
    bool any{false}; // nothing but ranges: one of their ports will do
};

Result<void> BindPhase::take_ready(const Proxy& proxy, Awaited& awaited) {
    const auto number = proxy.next();
    if (!number)
        return fail(Error{std::errc::broken_pipe,
                          "the proxy has ended before " + text(awaited.missing) + " was listened on",
                          "its own message is in the journal"});
    if (&proxy != proxy_)
        sockets_.fall_back(*number);
    std::erase_if(awaited.missing, [&](const Place& place) { return place.number == *number; });
    return {};
}

/// A program may listen without a bind that we see (io_uring has its own way): the proxy looks into its network.
Result<void> BindPhase::look_for_others(Awaited& awaited) {
    std::vector<Route> routes;
    for (const Place& place : awaited.missing)
        if (place.automatic)
            routes.push_back(sockets_.route_of(place.number));
    if (!routes.empty())
        fallback_ = TRY(start_proxy_(routes));
    return {};
}

Result<void> BindPhase::await_declared(const Deadline& deadline) {
    Awaited awaited{run::awaited(sockets_), false};
    awaited.any = awaited.missing.empty() && sockets_.any_adopted();
    const Deadline patience{look_after};
    bool looked = std::ranges::none_of(awaited.missing, &Place::automatic);
    while (!awaited.missing.empty() || awaited.any || ready_ != nullptr) {
        const int left = deadline.poll_timeout();
        const int timeout = looked ? left : std::min(left, patience.poll_timeout());
        switch (wait(notify_fd_, pidfd_, timeout, proxy_, fallback_ ? &*fallback_ : nullptr, ready_, output_)) {
        case Event::bind:
            if (const auto index = TRY(answer_one())) {
                std::erase(awaited.missing, place_of(sockets_.listeners()[*index]));
                awaited.any = false;
            }
            break;
        case Event::proxy:
            TRY_VOID(take_ready(*proxy_, awaited));
            break;
        case Event::fallback:
            TRY_VOID(take_ready(*fallback_, awaited));
            break;
        case Event::word:
            if (ready_->take())
                ready_ = nullptr;
            break;
        case Event::output:
            if (!output_->pass_on_some())
                output_ = nullptr;
            break;
        case Event::ended:
            if (awaited.missing.empty() && !awaited.any)
                return fail(Error{std::errc::no_child_process, "the payload ended before it said READY=1",
                                  "its own messages are in the journal; its exit status is the unit's"});
            return fail(Error{std::errc::no_child_process, "the payload ended before it bound " + text(awaited.missing),
                              "its own messages are in the journal; its exit status is the unit's"});
        case Event::timeout:
            if (!looked) {
                looked = true;
                TRY_VOID(look_for_others(awaited));
                break;
            }
            if (awaited.missing.empty() && !awaited.any)
                return fail(Error{std::errc::timed_out, "the payload did not say READY=1 in time",
                                  "does it know sd_notify(3)? 'notify = false' waits for no word of it; "
                                  "'ready-timeout' says how long to wait"});
            return fail(Error{std::errc::timed_out, "the payload did not bind " + text(awaited.missing) + " in time",
                              "is 'port' the one that it listens on? 'ready-timeout' says how long to wait; what "
                              "binds by io_uring needs deliver = \"proxy\""});
        }
    }
    if (fallback_ && !sockets_.any_fallen_back())
        fallback_->end(); // they were bound after all
    return {};
}

bool BindPhase::answer_stragglers() {
    const Deadline end{longest_straggling};
    Deadline quiet{quiet_time};
    for (;;) {
        const int patience = std::min(end.poll_timeout(), quiet.poll_timeout());
        const Event event = wait(notify_fd_, pidfd_, patience, nullptr, nullptr, nullptr, output_);
        if (event == Event::output) {
            if (!output_->pass_on_some())
                output_ = nullptr;
            if (end.passed() || quiet.passed())
                return true;
            continue;
        }
        if (event != Event::bind)
            return event == Event::timeout;
        // Where it fails, the payload's bind tells it so.
        [[maybe_unused]] auto answered = answer_one();
        quiet = Deadline{quiet_time};
        if (end.passed())
            return true;
    }
}

std::optional<std::uint16_t> BindPhase::mixed_families() const {
    for (const Mixed& mixed : mixed_)
        if (sockets_.listeners()[mixed.listener].family == AF_INET6)
            return sockets_.listeners()[mixed.listener].port;
    return std::nullopt;
}

} // namespace ctrd::run
