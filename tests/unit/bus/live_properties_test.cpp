#include "ctrd/bus/live_properties.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using namespace ctrd::bus;

TEST_CASE("limits may be set on a running container", "[bus]") {
    CHECK(check_live_property({"MemoryMax", 1 << 20}));
    CHECK(check_live_property({"CPUWeight", 10'000}));
    CHECK(check_live_property({"TasksMax", UINT64_MAX}));
}

TEST_CASE("what could run something, or is no limit, is refused by name", "[bus]") {
    for (const char* name : {"ExecStartPost", "User", "memorymax", "BPFProgram", "DeviceAllow", ""}) {
        const auto checked = check_live_property({name, 1});
        REQUIRE_FALSE(checked);
        CHECK(checked.error().message.find("'" + std::string{name} + "'") != std::string::npos);
    }
}

TEST_CASE("a limit that would end the container at once, or that systemd does not know, is refused", "[bus]") {
    CHECK_FALSE(check_live_property({"MemoryMax", 0}));
    CHECK_FALSE(check_live_property({"TasksMax", 0}));
    CHECK_FALSE(check_live_property({"CPUWeight", 10'001}));
}
