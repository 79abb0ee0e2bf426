#include "ctrd/runtime/user_range.hpp"

#include "ctrd/base/file.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace ctrd;
using runtime::pick_user_range;

namespace {

class Host {
public:
    Host() {
        char name[] = "/tmp/user-range.XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        root_ = name;
        paths = {root_ + "/store/users", root_ + "/etc", root_ + "/nspawn"};
        std::filesystem::create_directories(paths.accounts);
        std::filesystem::create_directories(paths.nspawn);
    }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    ~Host() { std::filesystem::remove_all(root_); }
    void account_file(const char* name, const std::string& text) const {
        REQUIRE(write_atomic(paths.accounts + "/" + name, text, 0644));
    }
    runtime::UserRangePaths paths;

private:
    std::string root_;
};

} // namespace

TEST_CASE("a container keeps the ids that it was given, and no other gets them", "[runtime]") {
    const Host host;
    const auto web = pick_user_range("web", host.paths);
    REQUIRE(web.has_value());
    CHECK(*web % 65536 == 0);
    CHECK(*web >= runtime::first_container_id);
    CHECK(*web <= runtime::last_container_id - 65535);
    CHECK(*pick_user_range("web", host.paths) == *web);
    for (int i = 0; i < 50; ++i)
        CHECK(*pick_user_range("other" + std::to_string(i), host.paths) != *web);
    REQUIRE(runtime::rename_user_range("web", "site", host.paths));
    CHECK(*pick_user_range("site", host.paths) == *web);
    CHECK(*pick_user_range("web", host.paths) != *web);
}

TEST_CASE("ids that somebody of the host has are not given to a container", "[runtime]") {
    const Host host;
    const auto pick_anew = [&] {
        REQUIRE(runtime::release_user_range("web", host.paths));
        const auto range = pick_user_range("web", host.paths);
        REQUIRE(range.has_value());
        return *range;
    };
    std::uint32_t last = pick_anew();
    CHECK(pick_anew() == last); // by its name
    const auto moves = [&] {
        const std::uint32_t next = pick_anew();
        CHECK(next != last);
        last = next;
    };
    const auto nth = [&](std::uint32_t offset) { return std::to_string(last + offset); };
    host.account_file("passwd", "root:x:0:0::/:/bin/sh\nsomebody:x:" + nth(65535) + ":0::/:/bin/sh\n");
    moves();
    host.account_file("group", "root:x:0:\nsome:x:" + nth(0) + ":\n");
    moves();
    host.account_file("subuid", "me:" + std::to_string(last - 1000) + ":1001\n");
    moves();
    host.account_file("subgid", "me:" + nth(65535) + ":1\n");
    moves();
    REQUIRE(write_atomic(host.paths.nspawn + "/" + nth(0), "", 0600));
    moves();
}

TEST_CASE("a note of a container's ids that was cut short is made again", "[runtime]") {
    const Host host;
    const auto first = *pick_user_range("web", host.paths);
    for (const char* text : {"", "5242", "12\n", "99999999999\n", "4294901760\n", "x\n"}) {
        REQUIRE(write_atomic(host.paths.ours + "/web", text, 0600));
        CHECK(*pick_user_range("web", host.paths) == first);
    }
}
