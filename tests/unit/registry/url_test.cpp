#include "ctrd/registry/authorizer.hpp"
#include "ctrd/registry/blob_progress.hpp"
#include "ctrd/registry/reach.hpp"
#include "ctrd/registry/repository.hpp"
#include "ctrd/registry/session.hpp"
#include "ctrd/registry/url.hpp"

#include <catch2/catch.hpp>

using namespace ctrd::registry;

TEST_CASE("a URL from a server is http or https, and nothing hides in it", "[registry]") {
    const auto url = parse_url("HTTPS://Host.Example/a/b?c=d#e");
    REQUIRE(url);
    CHECK(url->origin() == "https://host.example:443");
    CHECK(url->text() == "https://host.example:443/a/b?c=d");
    for (const char* text :
         {"", "file:///etc/passwd", "gopher://a/", "ftp://a/", "https://user:pass@a/", "https://user@a/", "https:///x",
          "https:/x", "https:x", "https://a/ b", "https://a/\r\nX: y", "https://a\\b/", "/only/a/path", "javascript:x",
          "https://a:99999/", "dict://a:11211/stat", "https://a%2fb/", "https://a%%84b/", "https://a!b/"}) {
        INFO(text);
        CHECK_FALSE(parse_url(text));
    }
    for (const char* text : {"https://[::1]:5000/v2/", "http://127.0.0.1/", "https://registry_1.local-net/"}) {
        INFO(text);
        CHECK(parse_url(text));
    }
}

TEST_CASE("a redirect may be relative to where it came from", "[registry]") {
    const auto base = parse_url("https://a.example:5000/v2/x?y=z").value();
    CHECK(resolve_url(base, "/there?q=1")->text() == "https://a.example:5000/there?q=1");
    CHECK(resolve_url(base, "https://b.example/x")->origin() == "https://b.example:443");
    CHECK_FALSE(resolve_url(base, "file:///etc/passwd"));
    CHECK_FALSE(resolve_url(base, ""));
    CHECK(with_query(base, {{"scope", "a b&c=d\r\n"}}).text() ==
          "https://a.example:5000/v2/x?y=z&scope=a%20b%26c%3Dd%0D%0A");
}

TEST_CASE("a server on the internet may not send us into our own network", "[registry]") {
    const auto reach = [](std::string_view host) { return reach_of(host).value(); };
    CHECK(reach("8.8.8.8") == Reach::global);
    for (const char* host : {"127.0.0.1", "127.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "localhost", "2130706433",
                             "[64:ff9b::7f00:1]"})
        CHECK(reach(host) == Reach::this_machine);
    for (const char* host : {"10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "[fd00::1]"})
        CHECK(reach(host) == Reach::own_network);
    for (const char* host : {"169.254.169.254", "[fe80::1]"})
        CHECK(reach(host) == Reach::link_local);
    CHECK_FALSE(reach_of(std::string_view{"registry.example.org"}));
    CHECK(may_lead(Reach::own_network, Reach::global));
    CHECK(may_lead(Reach::this_machine, Reach::own_network));
    CHECK_FALSE(may_lead(Reach::global, Reach::own_network));
    CHECK_FALSE(may_lead(Reach::own_network, Reach::this_machine));
    CHECK_FALSE(may_lead(Reach::this_machine, Reach::link_local));
    CHECK_FALSE(may_lead(Reach::global, Reach::link_local));
}

TEST_CASE("a token answer needs a token that a header can carry", "[registry]") {
    CHECK(parse_token_answer(R"({"token": "abc.def", "expires_in": 300})")->seconds == 300);
    CHECK(parse_token_answer(R"({"access_token": "abc"})")->seconds == 60);
    CHECK(parse_token_answer(R"({"token": "abc", "expires_in": 99999999999})")->seconds == 24 * 3600);
    for (const char* text : {"{}", "[]", R"({"token": ""})", R"({"token": "a\r\nX: y"})", R"({"token": "a b"})",
                             R"({"token": 5})", R"({"token": "abc", "expires_in": -1})"})
        CHECK_FALSE(parse_token_answer(text));
}

TEST_CASE("Retry-After is a number of seconds or a date", "[registry]") {
    CHECK(retry_after("7")->count() == 7);
    CHECK(retry_after("Wed, 21 Oct 2015 07:28:00 GMT")->count() == 0);
    CHECK_FALSE(retry_after(""));
    CHECK_FALSE(retry_after("soon"));
    CHECK_FALSE(retry_after("-5"));
}

TEST_CASE("a part of a blob must be the part that was asked for", "[registry]") {
    CHECK(parse_content_range("bytes 5-9/10")->first == 5);
    CHECK(parse_content_range("bytes 5-9/*")->total == 0);
    for (const char* text : {"", "bytes", "bytes 5-4/10", "bytes 5-10/10", "bytes */10", "bytes 5-9", "items 0-1/2",
                             "bytes -1-2/3", "bytes 5-9/10x", "bytes 99999999999999999999999-1/2"})
        CHECK_FALSE(parse_content_range(text));
}

TEST_CASE("a blob is whole only with its size and its digest", "[registry]") {
    const std::string data = "hello";
    const Descriptor wanted{"x", ctrd::image::digest_of(data), data.size()};
    BlobProgress good{wanted};
    REQUIRE(good.add("he"));
    REQUIRE(good.add("llo"));
    CHECK(good.finish());
    BlobProgress longer{wanted};
    CHECK_FALSE(longer.add("hello!"));
    BlobProgress shorter{wanted};
    REQUIRE(shorter.add("hell"));
    CHECK_FALSE(shorter.finish());
    BlobProgress other{wanted};
    REQUIRE(other.add("hallo"));
    CHECK_FALSE(other.finish());
    BlobProgress sha512{{"x", ctrd::image::digest_of(data, ctrd::image::Algorithm::sha512), data.size()}};
    REQUIRE(sha512.add(data));
    CHECK(sha512.finish());
}

TEST_CASE("the tag that lists referrers has at most 64 characters of the hash", "[registry]") {
    CHECK(referrers_tag(ctrd::image::digest_of("x")) == "sha256-" + ctrd::image::digest_of("x").hex());
    const auto sha512 = ctrd::image::digest_of("x", ctrd::image::Algorithm::sha512);
    CHECK(referrers_tag(sha512) == "sha512-" + sha512.hex().substr(0, 64));
}

TEST_CASE("the next page of a list is asked for at the registry itself", "[registry]") {
    CHECK(next_page("</v2/a/tags/list?last=x&n=2>; rel=\"next\"") == "a/tags/list?last=x&n=2");
    CHECK(next_page("<https://evil.example/v2/a/tags/list?x>; rel=\"next\"") == "a/tags/list?x");
    CHECK(next_page("</v2/a>; rel=\"prev\"").empty());
    CHECK(next_page("").empty());
    CHECK(next_page("<<<").empty());
}
