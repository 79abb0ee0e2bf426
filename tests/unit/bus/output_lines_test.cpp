#include "ctrd/bus/output_lines.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace ctrd::bus;

TEST_CASE("what a container has written is cut into lines") {
    std::string_view written = "one\n\ntwo \t\r\nthree";
    auto line = take_line(written, false);
    REQUIRE(line);
    CHECK(line->text == "one");
    CHECK(line->priority == 6);
    line = take_line(written, false);
    REQUIRE(line);
    CHECK(line->text.empty());
    line = take_line(written, false);
    REQUIRE(line);
    CHECK(line->text == "two");
    SECTION("the beginning of one waits for its end") {
        CHECK_FALSE(take_line(written, false));
        CHECK(written == "three");
    }
    SECTION("which the container's own end is, too") {
        line = take_line(written, true);
        REQUIRE(line);
        CHECK(line->text == "three");
        CHECK_FALSE(take_line(written, true));
    }
}

TEST_CASE("a line may say its priority") {
    for (const auto& [text, rest, priority] : {std::tuple{"<3>bad\n", "bad", 3}, std::tuple{"<7>\n", "", 7},
                                               std::tuple{"<8>x\n", "<8>x", 6}, std::tuple{"<3\n", "<3", 6}}) {
        std::string_view written = text;
        const auto line = take_line(written, false);
        REQUIRE(line);
        CHECK(line->text == rest);
        CHECK(line->priority == priority);
        CHECK(written.empty());
    }
}

TEST_CASE("a zero byte ends a line, and so does its greatest length") {
    const std::string text = std::string{"a\0b\n", 4} + std::string(longest_line + 10, 'x') + "\n";
    std::string_view written = text;
    CHECK(take_line(written, false)->text == "a");
    CHECK(take_line(written, false)->text == "b");
    CHECK(take_line(written, false)->text.size() == longest_line);
    CHECK(take_line(written, false)->text == "xxxxxxxxxx");
    CHECK(written.empty());
}
