#include "ctrd/activation/recover.hpp"
#include "ctrd/activation/request.hpp"
#include "tests/unit/activation/payload.hpp"

namespace ctrd::activation {

TEST_CASE("the notification descriptors that a process holds are found, each once") {
    Payload payload{[] { return ::pause(); }};
    const auto copy = dup(payload.notify_fd()); // this process now holds it twice
    REQUIRE(copy);
    const auto found = take_notify_fds_from(::getpid());
    REQUIRE(found);
    REQUIRE(found->size() == 1);
    CHECK(same_open_file(found->front().get(), payload.notify_fd()));
    CHECK_FALSE(same_open_file(STDIN_FILENO, payload.notify_fd()));
}

TEST_CASE("a found descriptor answers the payload") {
    Payload payload{[] { return bind_ip(::socket(AF_INET, SOCK_STREAM, 0), AF_INET, 0); }};
    auto found = take_notify_fds_from(::getpid());
    REQUIRE(found);
    REQUIRE(found->size() == 1);
    REQUIRE(payload.wait_request());
    const auto request = receive_bind(found->front().get());
    REQUIRE((request && *request));
    CHECK((*request)->family == AF_INET);
    REQUIRE(let_continue(found->front().get(), **request));
    CHECK(payload.end() == 0);
}

TEST_CASE("a descriptor behind which nobody lives any more is dead") {
    Payload payload{[] { return 0; }};
    CHECK(payload.end() == 0);
    CHECK(is_dead(payload.notify_fd()));
    Payload living{[] { return ::pause(); }};
    CHECK_FALSE(is_dead(living.notify_fd()));
}

} // namespace ctrd::activation
