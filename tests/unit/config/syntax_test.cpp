#include "config/ranges.hpp"
#include "config/syntax.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using namespace ctrd::config;

TEST_CASE("a duration is read as systemd reads it", "[config]") {
    CHECK(parse_duration("90") == std::uint64_t{90'000'000});
    CHECK(parse_duration("1min 30s") == std::uint64_t{90'000'000});
    CHECK(parse_duration("1h30min") == std::uint64_t{5'400'000'000});
    CHECK(parse_duration("1.5s") == std::uint64_t{1'500'000});
    CHECK(parse_duration("250 ms") == std::uint64_t{250'000});
    CHECK(parse_duration("infinity") == UINT64_MAX);
    for (const auto* bad : {"", " ", "s", "-1s", "1x", "1..5s", "1s,", "1e3", "5 minutos", "99999999999999999999s"})
        CHECK_FALSE(parse_duration(bad).has_value());
}

TEST_CASE("a duration is written so that systemd reads the same one back", "[config]") {
    for (const std::uint64_t us : {1ULL, 1500ULL, 250'000ULL, 90'000'000ULL})
        CHECK(parse_duration(duration_text(us)) == us);
    CHECK(duration_text(UINT64_MAX) == "infinity");
}

TEST_CASE("a memory size is a number with one of systemd's suffixes, a percentage or infinity", "[config]") {
    for (const auto* good : {"512M", "1.5G", "1048576", "80%", "12.25%", "infinity", "1B"})
        CHECK(check_memory(good).has_value());
    for (const auto* bad : {"", "0", "0%", "512MB", "512m", "-1", "101%", "1.234%", "5 M", "M", "16E", "99999999999E"})
        CHECK_FALSE(check_memory(bad).has_value());
    CHECK(check_memory("0", true).has_value());
}

TEST_CASE("weights, quotas and task limits stay in the ranges that systemd takes", "[config]") {
    CHECK(check_weight("1", false).has_value());
    CHECK(check_weight("10000", false).has_value());
    CHECK(check_weight("idle", true).has_value());
    CHECK_FALSE(check_weight("idle", false).has_value());
    CHECK_FALSE(check_weight("0", true).has_value());
    CHECK_FALSE(check_weight("10001", true).has_value());
    CHECK(check_cpu_quota("150%").has_value());
    CHECK_FALSE(check_cpu_quota("150").has_value());
    CHECK_FALSE(check_cpu_quota("0%").has_value());
    CHECK(check_tasks_max("64").has_value());
    CHECK(check_tasks_max("10%").has_value());
    CHECK_FALSE(check_tasks_max("0").has_value());
    CHECK_FALSE(check_tasks_max("101%").has_value());
}

TEST_CASE("an address to listen on is brought into its shortest form", "[config]") {
    CHECK(parse_listen("8080")->text == "8080");
    CHECK(parse_listen("0.0.0.0:8080")->text == "0.0.0.0:8080");
    CHECK(parse_listen("[0:0:0:0:0:0:0:1]:80")->text == "[::1]:80");
    CHECK(parse_listen("[::]:80")->wildcard());
    CHECK(parse_listen("127.0.0.1:80")->loopback());
    CHECK(parse_listen("web.localhost:80")->text == "127.0.0.1:80");
    CHECK(parse_listen("localhost:80")->loopback());
    CHECK(parse_listen_range("web-1.localhost:80")->first.text == "127.0.0.1:80");
    CHECK(parse_listen_range("web-1.localhost:80-82")->last == 82);
    CHECK(parse_listen("/run//x.sock")->text == "/run/x.sock");
    CHECK(parse_listen("/run/x.sock")->port == 0);
}

TEST_CASE("what is no address to listen on is refused", "[config]") {
    for (const auto* bad : {"",
                            "0",
                            "65536",
                            "080",
                            "+80",
                            " 80",
                            "80 ",
                            "web:80",
                            "a b.localhost:80",
                            ".localhost:80",
                            "[localhost]:80",
                            "1.2.3:80",
                            "1.2.3.4:",
                            "::1:80",
                            "[::1]",
                            "[1.2.3.4]:80",
                            "@abstract",
                            "vsock:1:2",
                            "run/x.sock",
                            "/run/../x",
                            "/a\nb",
                            "/a\\",
                            "/a ",
                            "[::1%lo]:80"})
        CHECK_FALSE(parse_listen(bad).has_value());
    CHECK_FALSE(parse_listen("/" + std::string(107, 'a')).has_value());
    CHECK(parse_listen("/" + std::string(106, 'a')).has_value());
}

TEST_CASE("a user is a name or an id, and so is its group", "[config]") {
    CHECK(parse_user("www-data")->user.name == "www-data");
    CHECK(parse_user("1000:50")->group->id == 50U);
    CHECK(parse_user("4294967294")->user.id == 4294967294U);
    CHECK(parse_user("_apt:nogroup")->group->name == "nogroup");
}

TEST_CASE("private users are a range of the host's, or one that is picked", "[config]") {
    CHECK(parse_private_users("pick").value()->pick);
    CHECK_FALSE(parse_private_users("no").value().has_value());
    CHECK(parse_private_users("identity").value()->first == 0);
    CHECK(parse_private_users("524288").value()->count == 65536);
    CHECK(parse_private_users("1000:1").value()->first == 1000);
    CHECK(private_users_text(*parse_private_users("1000:1").value()) == "1000:1");
    CHECK(private_users_text(*parse_private_users("pick").value()) == "pick");
    for (const char* text :
         {"", "0", "0:5", "yes", "1000:0", "4294967295", "4294967294:2", "-1", "1000:", ":5", "01000"})
        CHECK_FALSE(parse_private_users(text).has_value());
}

TEST_CASE("a user text that could mean another user than it says is refused", "[config]") {
    for (const auto* bad : {"",
                            ":",
                            "1000:",
                            ":50",
                            "+0",
                            "-1",
                            " 0",
                            "0 ",
                            "00",
                            "01",
                            "4294967295",
                            "4294967296",
                            "99999999999999999999",
                            "1000:4294967295",
                            "0x10",
                            "1e3",
                            "a:b:c",
                            "a\nb",
                            "1a",
                            "a/b",
                            "root\t"}) {
        INFO(bad);
        CHECK_FALSE(parse_user(bad).has_value());
    }
    CHECK_FALSE(parse_user(std::string_view{"root\0x", 6}).has_value());
}

TEST_CASE("a path must be absolute and go only down", "[config]") {
    CHECK(check_absolute_path("/a/b..c/.d").has_value());
    for (const auto* bad : {"", "a", "./a", "/a/../b", "/..", "/a/.", "/a\tb"})
        CHECK_FALSE(check_absolute_path(bad).has_value());
    CHECK(clean_path("//a///b/") == "/a/b");
    CHECK(clean_path("/") == "/");
}
