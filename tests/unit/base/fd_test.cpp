#include "ctrd/base/fd.hpp"
#include "ctrd/base/file.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>

using namespace ctrd;

TEST_CASE("descriptors sent over a socket arrive open and close-on-exec", "[fd]") {
    const auto pair = make_socket_pair();
    REQUIRE(pair.has_value());
    const auto file = make_memfd("test", "content");
    REQUIRE(file.has_value());
    const int fds[] = {file->get(), file->get()};
    REQUIRE(send_fds(pair->ours.get(), "two", fds).has_value());
    const auto message = receive_fds(pair->theirs.get());
    REQUIRE(message.has_value());
    CHECK(message->data == "two");
    REQUIRE(message->fds.size() == 2);
    CHECK((::fcntl(message->fds[1].get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(read_all(message->fds[0].get(), 100).value() == "content");
}

TEST_CASE("a message longer than the limit is an error, not a piece of it", "[fd]") {
    const auto pair = make_socket_pair();
    REQUIRE(pair.has_value());
    REQUIRE(send_fds(pair->ours.get(), std::string(100, 'x'), {}).has_value());
    CHECK_FALSE(receive_fds(pair->theirs.get(), 50).has_value());
}

TEST_CASE("what a peer said last arrives although it had not read everything", "[fd]") {
    auto pair = make_socket_pair();
    REQUIRE(pair.has_value());
    REQUIRE(send_fds(pair->theirs.get(), "last words", {}).has_value());
    REQUIRE(send_fds(pair->ours.get(), "never read", {}).has_value());
    pair->theirs = UniqueFd{};
    CHECK(receive_fds(pair->ours.get()).value().data == "last words");
    CHECK(receive_fds(pair->ours.get()).value().data.empty());
}

TEST_CASE("a sealed memory file can't be changed", "[fd]") {
    const auto file = make_memfd("test", "content");
    REQUIRE(file.has_value());
    CHECK(::write(file->get(), "x", 1) == -1);
    CHECK(::ftruncate(file->get(), 0) == -1);
}

TEST_CASE("moving a descriptor leaves one owner", "[fd]") {
    UniqueFd first{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    const int number = first.get();
    UniqueFd second{std::move(first)};
    CHECK(second.get() == number);
    second = UniqueFd{};
    CHECK(::fcntl(number, F_GETFD) == -1);
}
