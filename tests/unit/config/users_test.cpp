#include "config/users.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using namespace ctrd::config;

namespace {

constexpr std::string_view passwd = "root:x:0:0:root:/root:/bin/bash\n"
                                    "broken line\n"
                                    "bad:x:-1:0::/:\n"
                                    "big:x:4294967295:0::/:\n"
                                    "redis:x:101:102::/var/lib/redis:/usr/sbin/nologin\n"
                                    "evil:x:7:7::../etc:/bin/sh\n"
                                    "short:x:8:8:\n"
                                    "last:x:9:9::/home/last:/bin/sh";
constexpr std::string_view group = "root:x:0:\n"
                                   "redis:x:102:\n"
                                   "ssl:x:110:www,redis\n"
                                   "adm:x:4:redis,\n"
                                   "again:x:4:redis\n"
                                   "prefix:x:50:redis2,xredis\n"
                                   "huge:x:99999999999:redis\n";

} // namespace

TEST_CASE("a user name is looked up in the rootfs' own files", "[config]") {
    const auto user = resolve_user("redis", passwd, group);
    REQUIRE(user.has_value());
    CHECK(user->uid == 101);
    CHECK(user->gid == 102);
    CHECK(user->home == "/var/lib/redis");
    CHECK(user->additional_gids == std::vector<std::uint32_t>{4, 110});
}

TEST_CASE("an id with an entry gets the entry's group and home, one without gets group 0 and home /", "[config]") {
    CHECK(resolve_user("101", passwd, group)->gid == 102);
    CHECK(resolve_user("101", passwd, group)->additional_gids.size() == 2);
    const auto nobody = resolve_user("12345", passwd, group);
    REQUIRE(nobody.has_value());
    CHECK(nobody->uid == 12345);
    CHECK(nobody->gid == 0);
    CHECK(nobody->home == "/");
}

TEST_CASE("a named group takes the place of all others", "[config]") {
    const auto user = resolve_user("redis:ssl", passwd, group);
    REQUIRE(user.has_value());
    CHECK(user->gid == 110);
    CHECK(user->additional_gids.empty());
}

TEST_CASE("a name that the rootfs does not know is an error, not root", "[config]") {
    for (const auto* unknown : {"nobody", "redis:nogroup", "big", "bad", "broken", "short", "Redis"}) {
        INFO(unknown);
        CHECK_FALSE(resolve_user(unknown, passwd, group).has_value());
    }
    CHECK_FALSE(resolve_user("redis", "", "").has_value());
    CHECK(resolve_user("0", "", "")->uid == 0);
}

TEST_CASE("a home that is no absolute path is not taken from the rootfs", "[config]") {
    CHECK(resolve_user("evil", passwd, group)->home == "/");
    CHECK(resolve_user("last", passwd, group)->home == "/home/last");
}

TEST_CASE("a rootfs can't put a user into any number of groups", "[config]") {
    std::string many;
    for (int i = 1; i < 3000; ++i)
        many += "g" + std::to_string(i) + ":x:" + std::to_string(i + 1000) + ":redis\n";
    CHECK_FALSE(resolve_user("redis", passwd, many).has_value());
}
