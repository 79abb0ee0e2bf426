#include "ctrd/base/text.hpp"

#include <catch2/catch.hpp>

#include <cstdint>

using namespace ctrd;

TEST_CASE("a number is the whole of its text, and fits", "[base]") {
    CHECK(parse_number<int>("-7") == -7);
    CHECK(parse_number<std::uint32_t>("4294967295") == 4294967295U);
    CHECK(parse_number<std::uint16_t>("ffff", 16) == 65535);
    for (const char* bad : {"", " 1", "1 ", "+1", "1x", "-1", "4294967296", "0x1"})
        CHECK_FALSE(parse_number<std::uint32_t>(bad));
}

TEST_CASE("a field of a line is what lies between its colons", "[base]") {
    CHECK(colon_field("root:x:0:0::/root:/bin/sh", 2) == "0");
    CHECK(colon_field("root:x:0:0::/root:/bin/sh", 4).empty());
    CHECK(colon_field("root:x:0:0::/root:/bin/sh", 6) == "/bin/sh");
    CHECK(colon_field("root", 1).empty());
    CHECK(colon_field("", 0).empty());
}
