#include "tools/ctr-oci/criu_message.hpp"
#include "tools/ctr-oci/mount_table.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using ctr_oci::CriuMessage;

TEST_CASE("a message to criu is a protocol buffer", "[criu]") {
    CriuMessage message;
    message.number(1, 300).flag(3, true).text(10, "log").message(25, CriuMessage{}.text(2, "/a"));
    CHECK(message.bytes() == std::string("\x08\xac\x02\x18\x01\x52\x03log\xca\x01\x04\x12\x02/a"));
}

TEST_CASE("criu's answers are read", "[criu]") {
    const CriuMessage restored =
        CriuMessage{}.number(1, 2).flag(2, true).message(4, CriuMessage{}.number(1, 4711)).number(99, 1);
    const auto reply = ctr_oci::parse_criu_reply(restored.bytes());
    REQUIRE(reply.has_value());
    CHECK(reply->type == ctr_oci::CriuType::restore);
    CHECK(reply->success);
    CHECK(reply->pid == 4711);
    const CriuMessage notified =
        CriuMessage{}.number(1, 6).flag(2, true).message(5, CriuMessage{}.text(1, "post-restore").number(2, 12));
    const auto notification = ctr_oci::parse_criu_reply(notified.bytes());
    REQUIRE(notification.has_value());
    CHECK(notification->script == "post-restore");
    CHECK(notification->script_pid == 12);
}

TEST_CASE("a damaged answer of criu's is an error", "[criu]") {
    for (const std::string_view bytes : {"", "\x08", "\x08\xff\xff", "\x52\x7flog", "\x0f", "\x2a\x02\x12\x09"})
        CHECK_FALSE(ctr_oci::parse_criu_reply(bytes).has_value());
}

TEST_CASE("a mount table is read with its escapes", "[criu]") {
    const auto table =
        ctr_oci::parse_mount_table("21 1 0:19 / / rw - ext4 /dev/a rw\n"
                                   "22 21 0:20 /x /a\\040b\\134 rw shared:1 - tmpfs tmpfs rw\nrubbish\n");
    CHECK(table == ctr_oci::MountTable{{21, "/"}, {22, "/a b\\"}});
    CHECK(ctr_oci::is_below("/a/b", "/a"));
    CHECK(ctr_oci::is_below("/a", "/"));
    CHECK_FALSE(ctr_oci::is_below("/ab", "/a"));
    CHECK_FALSE(ctr_oci::is_below("/a", "/a"));
}
