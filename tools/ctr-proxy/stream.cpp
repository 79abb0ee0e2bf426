#include "tools/ctr-proxy/stream.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

namespace ctrd::proxy {
namespace {

using namespace std::chrono_literals;
constexpr std::size_t most_at_a_time = 64U << 10;
constexpr int most_rounds = 32; // then the others have their turn
constexpr auto retry_after = 20ms;
constexpr auto rest_after_shortage = 100ms;
constexpr std::uint32_t every_event = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

void reset_at_close(int socket) {
    const linger none{1, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

/// One direction: out of a socket, through a pipe, into the other. The bytes never come into our memory.
class Flow {
public:
    bool open() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
            return false;
        out_ = UniqueFd{ends[0]};
        in_ = UniqueFd{ends[1]};
        return true;
    }
    enum class State { waits, more, over, broken };
    /// Copies until there is nothing to read, or nobody to take it.
    State copy(int from, int to) {
        for (int round = 0; round < most_rounds; ++round) {
            const ssize_t in = read(from);
            const ssize_t out = write(to);
            if (in < 0 || out < 0)
                return State::broken;
            if (ended_ && buffered_ == 0)
                return end(to);
            if (in == 0 && out == 0)
                return State::waits;
        }
        return State::more;
    }

private:
    /// What came; 0: nothing, for now or for ever; -1: an error.
    ssize_t read(int from) {
        if (ended_)
            return 0;
        const ssize_t n =
            ::splice(from, nullptr, in_.get(), nullptr, most_at_a_time, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (n == 0)
            ended_ = true;
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        buffered_ += static_cast<std::size_t>(n);
        return n;
    }
    ssize_t write(int to) {
        if (buffered_ == 0)
            return 0;
        const ssize_t n = ::splice(out_.get(), nullptr, to, nullptr, buffered_, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        buffered_ -= static_cast<std::size_t>(n);
        return n;
    }
    State end(int to) {
        if (!told_ && ::shutdown(to, SHUT_WR) < 0 && errno != ENOTCONN)
            return State::broken;
        told_ = true;
        return State::over;
    }

    UniqueFd in_{}, out_{};
    std::size_t buffered_{0};
    bool ended_{false}; // nothing comes any more
    bool told_{false};  // and the other side knows it
};

class Connection final : public Source {
public:
    Connection(Loop& loop, const Route& route, Clock::time_point until, UniqueFd client)
        : loop_{loop}, route_{route}, until_{until}, client_{std::move(client)} {}
    ~Connection() override {
        if (clean_)
            return;
        reset_at_close(client_.get());
        if (server_)
            reset_at_close(server_.get());
    }

    bool start() { return up_.open() && down_.open() && connect(); }

    bool on_event(std::uint32_t events) override {
        if (connected_)
            return copy();
        if (!server_ || (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0)
            return true; // it waits for its next attempt
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(server_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        return error != 0 ? next_attempt() : begin();
    }
    bool on_time(Clock::time_point) override {
        due = Clock::time_point::max();
        return connect();
    }

private:
    /// False: it can't be done.
    bool connect() {
        const Address address = target_of(route_, attempt_);
        server_ = UniqueFd{::socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        if (!server_)
            return next_attempt();
        if (::connect(server_.get(), &address.any, size_of(address)) == 0)
            return loop_.watch(server_.get(), every_event, *this) && begin();
        if (errno == EINPROGRESS)
            return loop_.watch(server_.get(), every_event, *this);
        return errno == EAGAIN ? wait() : next_attempt(); // the queue behind a path is full
    }
    bool begin() {
        connected_ = true;
        return loop_.watch(client_.get(), every_event, *this) && copy();
    }
    bool wait() {
        server_ = UniqueFd{};
        due = Clock::now() + retry_after;
        return true;
    }
    /// The other family at once; both again in a moment, as long as the program may take to listen.
    bool next_attempt() {
        attempt_ = (attempt_ + 1) % attempts_for(route_);
        if (attempt_ != 0)
            return connect();
        return wait() && due < until_;
    }
    bool copy() {
        const auto up = up_.copy(client_.get(), server_.get());
        const auto down = down_.copy(server_.get(), client_.get());
        if (up == Flow::State::broken || down == Flow::State::broken)
            return false;
        if (up == Flow::State::more || down == Flow::State::more)
            loop_.again(*this);
        clean_ = up == Flow::State::over && down == Flow::State::over;
        return !clean_;
    }

    Loop& loop_;
    const Route& route_;
    Clock::time_point until_;
    UniqueFd client_, server_{};
    Flow up_{}, down_{};
    unsigned attempt_{0};
    bool connected_{false};
    bool clean_{false}; // both sides have said all
};

class Acceptor final : public Source {
public:
    Acceptor(Loop& loop, const Route& route, Clock::time_point until) : loop_{loop}, route_{route}, until_{until} {}

    /// Level-triggered, one at a time: what is not accepted stays in the host's queue.
    bool on_event(std::uint32_t) override {
        UniqueFd client{::accept4(route_.listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (!client)
            return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED || rest();
        auto connection = std::make_unique<Connection>(loop_, route_, until_, std::move(client));
        if (connection->start())
            loop_.adopt(std::move(connection));
        return true;
    }
    bool on_time(Clock::time_point) override {
        due = Clock::time_point::max();
        return loop_.watch(route_.listener, EPOLLIN, *this);
    }

private:
    /// Descriptors have run out: until some connections have ended, others wait in the queue.
    bool rest() {
        loop_.unwatch(route_.listener);
        due = Clock::now() + rest_after_shortage;
        return true;
    }

    Loop& loop_;
    const Route& route_;
    Clock::time_point until_;
};

} // namespace

std::unique_ptr<Source> make_acceptor(Loop& loop, const Route& route, Clock::time_point until) {
    auto acceptor = std::make_unique<Acceptor>(loop, route, until);
    // O_NONBLOCK is not needed: epoll says when there is somebody, and nobody else accepts.
    if (!loop.watch(route.listener, EPOLLIN, *acceptor))
        return nullptr;
    return acceptor;
}

} // namespace ctrd::proxy
