#include "ctrd/image/owners.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using image::Owners;

TEST_CASE("owners in a user namespace are those that the container sees", "[image]") {
    const Owners owners{*image::parse_id_map("         0     524288      65536\n"),
                        *image::parse_id_map("0 600000 10\n10 700000 5\n")};
    CHECK(owners.uid(524288) == 0);
    CHECK(owners.uid(524288 + 65535) == 65535);
    CHECK(owners.uid(524288 + 65536) == 65534);
    CHECK(owners.uid(0) == 65534);
    CHECK(owners.gid(700001) == 11);
    CHECK(Owners{}.uid(0) == 0);
    CHECK(image::parse_id_map("0 0 4294967295\n")->empty()); // the host's own
    for (const char* text : {"x", "0 0", "0 0 -1", "0 0 4294967296"})
        CHECK_FALSE(image::parse_id_map(text).has_value());
}

TEST_CASE("ids in attributes are the container's, too", "[image]") {
    const Owners owners{{{0, 524288, 65536}}, {{0, 524288, 65536}}};
    const auto number = [](std::uint32_t value) { return std::string{reinterpret_cast<const char*>(&value), 4}; };
    const std::string bits(16, '\0');
    // A version, then a tag and permissions, and an id: of the owner, of user 7, of group 8.
    const auto acl = [&](std::uint32_t user, std::uint32_t group) {
        return number(2) + number(0x00060001) + number(UINT32_MAX) + number(0x00060002) + number(user) +
               number(0x00060008) + number(group);
    };
    std::vector<std::pair<std::string, std::string>> xattrs{
        {"security.capability", number(0x03000001) + bits + number(524288)},
        {"system.posix_acl_access", acl(524288 + 7, 524288 + 8)},
        {"user.x", number(524288)}};
    owners.translate(xattrs);
    CHECK(xattrs[0].second == number(0x02000001) + bits);
    CHECK(xattrs[1].second == acl(7, 8));
    CHECK(xattrs[2].second == number(524288));
    xattrs[0].second = number(0x03000001) + bits + number(5);
    owners.translate(xattrs);
    CHECK(xattrs[0].second.size() == 24); // another's root: as it is
}
