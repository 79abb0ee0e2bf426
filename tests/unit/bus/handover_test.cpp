#include "ctrd/bus/bind_watch.hpp"
#include "ctrd/bus/handover.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/socket.h>

using namespace ctrd;
using namespace ctrd::bus;

TEST_CASE("a hand-over names a container and its leader", "[bus]") {
    const auto message = parse_handover(R"({"name":"web","leader":4711})");
    REQUIRE(message);
    CHECK(message->name == "web");
    CHECK(message->leader == 4711);
}

TEST_CASE("or a container that has ended", "[bus]") {
    const auto message = parse_handover(R"({"name":"web","ended":true})");
    REQUIRE(message);
    CHECK(message->ended);
    CHECK_FALSE(parse_handover(R"({"name":"web","ended":false})"));
    CHECK_FALSE(parse_handover(R"({"name":"web","ended":1})"));
    CHECK_FALSE(parse_handover(R"({"name":"web","leader":4711,"ended":true})"));
    CHECK_FALSE(parse_handover(R"({"name":"../web","ended":true})"));
}

TEST_CASE("anything else is no hand-over", "[bus]") {
    CHECK_FALSE(parse_handover(""));
    CHECK_FALSE(parse_handover("[]"));
    CHECK_FALSE(parse_handover("{"));
    CHECK_FALSE(parse_handover(R"({"name":"web"})"));
    CHECK_FALSE(parse_handover(R"({"name":7,"leader":1})"));
    CHECK_FALSE(parse_handover(R"({"name":"web","leader":"1"})"));
    CHECK_FALSE(parse_handover(R"({"name":"web","leader":-1})"));
    CHECK_FALSE(parse_handover(R"({"name":"web","leader":0})"));
    CHECK_FALSE(parse_handover(R"({"name":"../web","leader":1})"));
    CHECK_FALSE(parse_handover(R"({"name":"a\nFDNAME=b","leader":1})"));
}

TEST_CASE("only a seccomp listener passes for one", "[bus]") {
    const UniqueFd file{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    const UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CHECK_FALSE(is_notify_fd(file.get()));
    CHECK_FALSE(is_notify_fd(socket.get()));
    CHECK_FALSE(is_notify_fd(-1));
}
