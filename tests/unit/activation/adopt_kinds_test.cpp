// Adoption of other sockets than TCP ones, and what is done to a socket before its bind.
#include "ctrd/activation/adopt.hpp"
#include "ctrd/activation/listener.hpp"
#include "tests/unit/activation/payload.hpp"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cstdlib>
#include <cstring>

namespace ctrd::activation {
namespace {

constexpr std::uint16_t declared_port = 8082;

/// How many binds were adopted before the payload ended.
int answer_all(const Payload& payload, int listener, const Listener& declared) {
    const std::vector<Listener> listeners{declared};
    int adopted = 0;
    while (payload.wait_request()) {
        const auto request = receive_bind(payload.notify_fd());
        REQUIRE(request);
        if (!*request)
            continue;
        const auto answer =
            answer_bind(payload.notify_fd(), **request, listeners, [&](std::size_t) { return dup(listener); });
        INFO((answer ? std::string{} : answer.error().message));
        REQUIRE(answer);
        adopted += answer->outcome == Outcome::adopted ? 1 : 0;
    }
    return adopted;
}

UniqueFd make_udp() {
    UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    REQUIRE(bind_ip(fd.get(), AF_INET, 0) == 0);
    return fd;
}

class Folder {
public:
    Folder() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
    ~Folder() {
        ::unlink((path_ + "/server.sock").c_str());
        ::unlink((path_ + "/host.sock").c_str());
        ::rmdir(path_.c_str());
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    [[nodiscard]] std::string operator/(const char* name) const { return path_ + "/" + name; }

private:
    std::string path_{"/tmp/ctrd-adopt-XXXXXX"};
};

int bind_path(int fd, const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) < 0 ? errno : 0;
}

UniqueFd listen_on(const std::string& path) {
    UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    REQUIRE(bind_path(fd.get(), path) == 0);
    REQUIRE(::listen(fd.get(), 8) == 0);
    return fd;
}

int number_of(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

void set_number(int fd, int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof value); }

} // namespace

TEST_CASE("a UDP socket of the declared port is adopted, and a TCP one of the same port is not") {
    const auto host = make_udp();
    Payload payload{[&] {
        const int udp = ::socket(AF_INET, SOCK_DGRAM, 0);
        const int tcp = ::socket(AF_INET, SOCK_STREAM, 0);
        if (bind_ip(udp, AF_INET, declared_port) != 0 || look_at(udp)->inode != look_at(host.get())->inode)
            return 1;
        return bind_ip(tcp, AF_INET, declared_port) == 0 && port_of(tcp) == declared_port ? 0 : 2;
    }};
    CHECK(answer_all(payload, host.get(), {declared_port, AF_INET, SOCK_DGRAM}) == 1);
    CHECK(payload.end() == 0);
}

TEST_CASE("a UNIX stream socket is adopted by its path, and its file is there with the payload's mode") {
    const Folder folder;
    const auto host = listen_on(folder / "host.sock");
    const std::string path = folder / "server.sock";
    Payload payload{[&] {
        ::umask(0027);
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        if (bind_path(fd, path) != 0 || ::listen(fd, 8) != 0 || look_at(fd)->inode != look_at(host.get())->inode)
            return 1;
        struct stat st {};
        return ::stat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0750 ? 0 : 2;
    }};
    CHECK(answer_all(payload, host.get(), {0, AF_UNIX, SOCK_STREAM, path}) == 1);
    CHECK(payload.end() == 0);
}

TEST_CASE("a path is known again when it is relative, and the file of an earlier run makes way") {
    const Folder folder;
    const auto host = listen_on(folder / "host.sock");
    const std::string path = folder / "server.sock";
    listen_on(path); // ended without unlinking its file
    Payload payload{[&] {
        if (::chdir("/tmp") != 0)
            return 9;
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        return bind_path(fd, "./" + path.substr(5)) == 0 && look_at(fd)->inode == look_at(host.get())->inode ? 0 : 1;
    }};
    CHECK(answer_all(payload, host.get(), {0, AF_UNIX, SOCK_STREAM, path}) == 1);
    CHECK(payload.end() == 0);
}

TEST_CASE("a path that can't be bound fails as the kernel would have it") {
    const Folder folder;
    const auto host = listen_on(folder / "host.sock");
    const std::string missing = folder / "no/server.sock";
    Payload payload{[&] { return bind_path(::socket(AF_UNIX, SOCK_STREAM, 0), missing) == ENOENT ? 0 : 1; }};
    CHECK(answer_all(payload, host.get(), {0, AF_UNIX, SOCK_STREAM, missing}) == 0);
    CHECK(payload.end() == 0);

    const std::string taken = folder / "server.sock";
    UniqueFd file{::open(taken.c_str(), O_CREAT | O_CLOEXEC | O_WRONLY, 0600)};
    Payload other{[&] { return bind_path(::socket(AF_UNIX, SOCK_STREAM, 0), taken) == EADDRINUSE ? 0 : 1; }};
    CHECK(answer_all(other, host.get(), {0, AF_UNIX, SOCK_STREAM, taken}) == 0);
    CHECK(other.end() == 0);
}

TEST_CASE("what the payload set on its socket before the bind holds, and nothing else changes") {
    const auto host = make_listener();
    set_number(host.get(), IPPROTO_TCP, TCP_KEEPCNT, 7); // the socket unit's
    const int receive = number_of(host.get(), SOL_SOCKET, SO_RCVBUF);
    Payload payload{[&] {
        const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        set_number(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set_number(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, 33);
        set_number(fd, SOL_SOCKET, SO_SNDBUF, 65536);
        return bind_ip(fd, AF_INET, declared_port);
    }};
    CHECK(answer_all(payload, host.get(), {declared_port, AF_INET}) == 1);
    CHECK(payload.end() == 0);
    CHECK(number_of(host.get(), SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(number_of(host.get(), IPPROTO_TCP, TCP_NODELAY) == 1);
    CHECK(number_of(host.get(), IPPROTO_TCP, TCP_KEEPIDLE) == 33);
    CHECK(number_of(host.get(), SOL_SOCKET, SO_SNDBUF) == 2 * 65536);
    CHECK(number_of(host.get(), IPPROTO_TCP, TCP_KEEPCNT) == 7);
    CHECK(number_of(host.get(), SOL_SOCKET, SO_RCVBUF) == receive);
}

TEST_CASE("a socket that is in an epoll set before its bind is heard of there afterwards") {
    const auto host = make_listener();
    const auto host_port = port_of(host.get());
    Payload payload{[&] {
        const int set = ::epoll_create1(0);
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET;
        event.data.u64 = 0x1234'5678'9abcULL;
        if (::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0 || bind_ip(fd, AF_INET, declared_port) != 0 ||
            ::listen(fd, 8) != 0)
            return 1;
        const UniqueFd client{::socket(AF_INET, SOCK_STREAM, 0)};
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(host_port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            return 2;
        epoll_event got{};
        if (::epoll_wait(set, &got, 1, 10000) != 1 || got.data.u64 != event.data.u64 || (got.events & EPOLLIN) == 0)
            return 3;
        return ::epoll_ctl(set, EPOLL_CTL_DEL, fd, nullptr) == 0 ? 0 : 4; // it is known by its number there
    }};
    CHECK(answer_all(payload, host.get(), {declared_port, AF_INET}) == 1);
    CHECK(payload.end() == 0);
}

TEST_CASE("all sockets of SO_REUSEPORT workers, and one that a child binds, get the listener") {
    const auto host = make_listener();
    const auto inode = look_at(host.get())->inode;
    Payload payload{[&] {
        std::array<int, 3> fds{};
        for (int& fd : fds) {
            fd = ::socket(AF_INET, SOCK_STREAM, 0);
            set_number(fd, SOL_SOCKET, SO_REUSEPORT, 1);
            if (bind_ip(fd, AF_INET, declared_port) != 0 || look_at(fd)->inode != inode)
                return 1;
        }
        const pid_t child = ::fork();
        if (child == 0) {
            const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
            ::_exit(bind_ip(fd, AF_INET, declared_port) == 0 && look_at(fd)->inode == inode ? 0 : 1);
        }
        int status = 1;
        return ::waitpid(child, &status, 0) == child && status == 0 ? 0 : 2;
    }};
    CHECK(answer_all(payload, host.get(), {declared_port, AF_INET}) == 4);
    CHECK(payload.end() == 0);
}

} // namespace ctrd::activation
