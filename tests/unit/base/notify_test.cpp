#include "ctrd/base/notify.hpp"

#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <string>

using namespace ctrd;

namespace {

/// The service manager's end of $NOTIFY_SOCKET, in the abstract name space so that nothing is left behind.
UniqueFd manager_socket() {
    UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = "@ctrd-notify-test-" + std::to_string(::getpid());
    std::memcpy(address.sun_path, name.data(), name.size());
    address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    return socket;
}

} // namespace

TEST_CASE("without $NOTIFY_SOCKET every notification succeeds and does nothing", "[notify]") {
    ::unsetenv("NOTIFY_SOCKET");
    const auto notifier = Notifier::from_environment();
    REQUIRE(notifier.has_value());
    CHECK_FALSE(notifier->active());
    CHECK(notifier->send("READY=1").has_value());
    CHECK(notifier->barrier(std::chrono::milliseconds{1}).has_value());
}

TEST_CASE("a notification reaches the manager, and the variable reaches nobody else", "[notify]") {
    const UniqueFd manager = manager_socket();
    const auto notifier = Notifier::from_environment();
    REQUIRE(notifier.has_value());
    CHECK(std::getenv("NOTIFY_SOCKET") == nullptr);
    REQUIRE(notifier->send("READY=1\nMAINPID=7").has_value());
    CHECK(receive_fds(manager.get()).value().data == "READY=1\nMAINPID=7");
}

TEST_CASE("the barrier returns when the manager has closed its descriptor, and gives up in time if it does not",
          "[notify]") {
    const UniqueFd manager = manager_socket();
    const auto notifier = Notifier::from_environment();
    REQUIRE(notifier.has_value());
    CHECK_FALSE(notifier->barrier(std::chrono::milliseconds{20}).has_value());
    CHECK(receive_fds(manager.get()).value().data == "BARRIER=1");
}
