#include "ctrd/base/names.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <csignal>

using namespace ctrd;

TEST_CASE("a container name is a machine name, a unit instance and a file name at once", "[names]") {
    for (const char* good : {"web", "a", "web-1.example", "0", "A9"})
        CHECK(is_container_name(good));
    for (const char* bad :
         {"", ".", "..", "-web", "web-", "a..b", "a/b", "a_b", "a b", "\xc3\xa9", "web\n", "a@b", "a%b"})
        CHECK_FALSE(is_container_name(bad));
    CHECK(is_container_name(std::string(64, 'a')));
    CHECK_FALSE(is_container_name(std::string(65, 'a')));
    CHECK_FALSE(is_container_name(std::string_view{"a\0b", 3}));
}

TEST_CASE("a container id is what runc takes, and never a path", "[names]") {
    CHECK(is_container_id("a_b+c.d-e"));
    for (const char* bad : {"", ".", "..", "a/b", "../x", "a b", "a\n"})
        CHECK_FALSE(is_container_id(bad));
}

TEST_CASE("signals are taken by name with and without SIG, by number, and as real-time offsets", "[names]") {
    CHECK(parse_signal("SIGTERM").value() == SIGTERM);
    CHECK(parse_signal("term").value() == SIGTERM);
    CHECK(parse_signal("9").value() == SIGKILL);
    CHECK(parse_signal("SIGRTMIN+3").value() == 37);
    CHECK(parse_signal("RTMAX-1").value() == 63);
    for (const char* bad : {"", "SIG", "0", "65", "-1", "TERM ", "RTMIN+31", "RTMIN-1", "9x", "SIGRTMIN+"})
        CHECK_FALSE(parse_signal(bad).has_value());
    CHECK(signal_name(SIGTERM) == "SIGTERM");
    CHECK(signal_name(37) == "SIGRTMIN+3");
}

TEST_CASE("the nearest known word is offered only when it is near", "[names]") {
    constexpr std::array<std::string_view, 3> known{"command", "rootfs", "user"};
    CHECK(nearest("comand", known) == "command");
    CHECK(nearest("rotfs", known) == "rootfs");
    CHECK(nearest("xyzzy", known).empty());
}
