#include "ctrd/activation/listener.hpp"
#include "tools/ctr-run/address.hpp"
#include "tools/ctr-run/sockets.hpp"

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

namespace ctrd::run {
namespace {

UniqueFd bound(int family, const char* host) {
    UniqueFd fd{::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in four{};
    four.sin_family = AF_INET;
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    if (family == AF_INET) {
        REQUIRE(::inet_pton(AF_INET, host, &four.sin_addr) == 1);
        REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&four), sizeof four) == 0);
    } else {
        REQUIRE(::inet_pton(AF_INET6, host, &six.sin6_addr) == 1);
        REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&six), sizeof six) == 0);
    }
    REQUIRE(::listen(fd.get(), 4) == 0);
    return fd;
}

std::string port_of(const UniqueFd& fd) {
    sockaddr_in6 address{};
    socklen_t size = sizeof address;
    REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    return std::to_string(ntohs(address.sin6_port));
}

std::vector<activation::ListenFd> handed(UniqueFd one, UniqueFd other) {
    std::vector<activation::ListenFd> fds;
    fds.push_back({std::move(one), "ctr@web.socket"});
    fds.push_back({std::move(other), "ctr@web.socket"});
    return fds;
}

} // namespace

TEST_CASE("a socket is told by the address that it was declared with") {
    const auto four = bound(AF_INET, "127.0.0.1");
    CHECK(is_bound_to(four.get(), "127.0.0.1:" + port_of(four)));
    CHECK_FALSE(is_bound_to(four.get(), "0.0.0.0:" + port_of(four)));
    CHECK_FALSE(is_bound_to(four.get(), port_of(four))); // every address, and this is one
    CHECK_FALSE(is_bound_to(four.get(), "127.0.0.1:1"));
    CHECK_FALSE(is_bound_to(four.get(), "[::1]:" + port_of(four)));

    const auto six = bound(AF_INET6, "::1");
    CHECK(is_bound_to(six.get(), "[::1]:" + port_of(six)));
    CHECK(is_bound_to(six.get(), "[0:0:0:0:0:0:0:1]:" + port_of(six)));
    CHECK_FALSE(is_bound_to(six.get(), "127.0.0.1:" + port_of(six)));
}

TEST_CASE("a bare port is every address, of IPv6 or, without it, IPv4") {
    const auto six = bound(AF_INET6, "::");
    CHECK(is_bound_to(six.get(), port_of(six)));
    CHECK(is_bound_to(six.get(), "[::]:" + port_of(six)));
    const auto four = bound(AF_INET, "0.0.0.0");
    CHECK(is_bound_to(four.get(), port_of(four)));
    CHECK(is_bound_to(four.get(), "0.0.0.0:" + port_of(four)));
}

TEST_CASE("what is no socket is bound to nothing") {
    CHECK_FALSE(is_bound_to(STDIN_FILENO, "8080"));
    CHECK_FALSE(is_bound_to(-1, "8080"));
}

TEST_CASE("each declared socket finds its descriptor, whatever their order") {
    auto one = bound(AF_INET, "127.0.0.1");
    auto other = bound(AF_INET, "127.0.0.1");
    const std::vector<DeclaredSocket> declared{{"http", "127.0.0.1:" + port_of(other), Deliver::adopt, 80, {}},
                                               {"admin", "127.0.0.1:" + port_of(one), Deliver::pass, 0, {}}};
    const auto admin_inode = activation::look_at(one.get())->inode;
    const auto sockets = Sockets::match(declared, handed(std::move(one), std::move(other)));
    REQUIRE(sockets);
    REQUIRE(sockets->listeners().size() == 1);
    CHECK(sockets->listeners()[0].port == 80);
    CHECK(sockets->passed_names() == "admin");
    REQUIRE(sockets->passed().size() == 1);
    CHECK(activation::look_at(sockets->passed()[0])->inode == admin_inode);
    const auto recorded = sockets->recorded();
    REQUIRE(recorded.size() == 2);
    CHECK(recorded[0].deliver == "adopt");
    CHECK(recorded[1].inode == admin_inode);
}

TEST_CASE("a declared socket that was not handed over is an error with its name") {
    const auto missing = Sockets::match({{"http", "0.0.0.0:1", Deliver::adopt, 80, {}}}, {});
    REQUIRE_FALSE(missing);
    CHECK(missing.error().message == "socket 'http' ('0.0.0.0:1') was not handed over by the service manager");
}

TEST_CASE("a socket with deliver = auto is adopted, or proxied where that was learnt") {
    const auto match = [](std::span<const std::string> fall_back) {
        auto one = bound(AF_INET, "127.0.0.1");
        const std::string listen = "127.0.0.1:" + port_of(one);
        std::vector<activation::ListenFd> fds;
        fds.push_back({std::move(one), "http"});
        return Sockets::match({{"http", listen, Deliver::automatic, 80, {}}}, std::move(fds), fall_back);
    };
    auto adopted = match({});
    REQUIRE(adopted);
    CHECK(adopted->any_adopted());
    CHECK_FALSE(adopted->any_proxied());
    CHECK(adopted->recorded()[0].deliver == "adopt");
    adopted->fall_back(0); // the program listens, and no bind was seen
    CHECK(adopted->recorded()[0].deliver == "proxy");
    CHECK(adopted->fallen_back() == std::vector<std::string>{"http"});

    const std::vector<std::string> names{"http"};
    const auto proxied = match(names);
    REQUIRE(proxied);
    CHECK_FALSE(proxied->any_adopted());
    REQUIRE(proxied->proxied().size() == 1);
    CHECK(proxied->proxied()[0].port == 80);
}

TEST_CASE("a UNIX datagram socket can't be adopted") {
    UniqueFd fd{::socket(AF_UNIX, SOCK_DGRAM, 0)};
    std::vector<activation::ListenFd> fds;
    fds.push_back({std::move(fd), "ctl"});
    const auto refused = Sockets::match({{"ctl", "/run/x", Deliver::adopt, 0, {}, true}}, std::move(fds));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message == "socket 'ctl' ('/run/x') can't be adopted or proxied: it is neither TCP, UDP "
                                     "nor a UNIX stream socket");
}

} // namespace ctrd::run
