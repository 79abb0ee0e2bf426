#include "tools/ctr-run/journal_link.hpp"

#include <catch2/catch.hpp>

using namespace ctrd::run;

TEST_CASE("a machine id has 32 hexadecimal digits, and a line end at most", "[ctr-run][journal]") {
    const std::string id = "0123456789abcdef0123456789abcdef";
    CHECK(parse_machine_id(id) == id);
    CHECK(parse_machine_id(id + "\n") == id);
    CHECK(parse_machine_id("0123456789ABCDEF0123456789ABCDEF\n") == id);
    for (const char* none :
         {"", "\n", "uninitialized\n", "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0",
          "0123456789abcdef0123456789abcdef\n\n", "../../../../../../../../etc/passw",
          "0123456789abcdef/123456789abcdef", "00000000000000000000000000000000"})
        CHECK(parse_machine_id(none).empty());
}
