#include "ctrd/registry/challenge.hpp"

#include <catch2/catch.hpp>

using ctrd::registry::parse_challenges;

TEST_CASE("a bearer challenge has its realm, service and scope", "[registry]") {
    const auto all =
        parse_challenges(R"(Bearer realm="https://a.example/token",service="r",scope="repository:a/b:pull,push")");
    REQUIRE(all);
    REQUIRE(all->size() == 1);
    CHECK(all->front().scheme == "bearer");
    CHECK(all->front().value("realm") == "https://a.example/token");
    CHECK(all->front().value("scope") == "repository:a/b:pull,push");
    CHECK(all->front().value("error").empty());
}

TEST_CASE("several challenges may share a header, in any case and with any space", "[registry]") {
    const auto all = parse_challenges(R"( BASIC Realm = "x" , Negotiate YWJj==, bearer realm=plain ,Digest)");
    REQUIRE(all);
    REQUIRE(all->size() == 4);
    CHECK((*all)[0].scheme == "basic");
    CHECK((*all)[0].value("realm") == "x");
    CHECK((*all)[1].scheme == "negotiate");
    CHECK((*all)[1].values.empty());
    CHECK((*all)[2].value("realm") == "plain");
    CHECK((*all)[3].scheme == "digest");
}

TEST_CASE("a quoted value may hold commas and escaped quotes; the first of a name counts", "[registry]") {
    const auto all = parse_challenges(R"(Bearer realm="a\",b=\"c", realm="second")");
    REQUIRE(all);
    CHECK(all->front().value("realm") == R"(a",b="c)");
}

TEST_CASE("a malformed challenge is refused", "[registry]") {
    for (const std::string& text : {std::string{"Bearer realm=\"x"}, std::string{"realm=\"x\""},
                                    std::string{"Bearer realm=\"a\r\nX: y\""}, std::string{"Bearer realm=\"\0\"", 16},
                                    std::string{"\"\""}, std::string{"Bearer realm=\"a\" ;"}, std::string(9000, 'a')}) {
        INFO(text.substr(0, 40));
        CHECK_FALSE(parse_challenges(text));
    }
    CHECK(parse_challenges("")->empty());
    std::string many;
    for (int i = 0; i < 20; ++i)
        many += "Basic, ";
    CHECK_FALSE(parse_challenges(many));
}
