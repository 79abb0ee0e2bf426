#include "ctrd/activation/refuse.hpp"
#include "ctrd/base/fd.hpp"

#include <catch2/catch.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

using namespace ctrd;
using namespace std::chrono_literals;

TEST_CASE("those who wait at a listener are reset, at once and while it lasts") {
    const UniqueFd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener.get(), 5) == 0);
    REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    std::array<UniqueFd, 3> clients;
    for (auto& client : clients) {
        client = UniqueFd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        REQUIRE(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    }
    const std::array fds{listener.get()};
    activation::refuse_clients(fds, 0ms);
    for (const auto& client : clients) {
        char byte = 0;
        CHECK(::recv(client.get(), &byte, 1, 0) == -1);
        CHECK(errno == ECONNRESET);
    }
}

TEST_CASE("a listener that was shut down does not keep anybody busy") {
    const UniqueFd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    REQUIRE(::listen(listener.get(), 5) == 0);
    REQUIRE(::shutdown(listener.get(), SHUT_RD) == 0);
    const std::array fds{listener.get()};
    activation::refuse_clients(fds, 20ms); // returns
    SUCCEED();
}
