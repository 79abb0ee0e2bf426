#include "ctrd/base/journal.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;

TEST_CASE("an entry's fields are lines", "[journal]") {
    const JournalField fields[] = {{"MESSAGE", "all is well"}, {"PRIORITY", "6"}};
    CHECK(to_journal_datagram(fields) == "MESSAGE=all is well\nPRIORITY=6\n");
}

TEST_CASE("a value with a line break is sent with its length, so that it can't pass for another field", "[journal]") {
    const JournalField fields[] = {{"MESSAGE", "one\nPRIORITY=0"}};
    using namespace std::string_literals;
    CHECK(to_journal_datagram(fields) == "MESSAGE\n\x0e\0\0\0\0\0\0\0one\nPRIORITY=0\n"s);
}
