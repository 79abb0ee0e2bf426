#include "ctrd/registry/registries_conf.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using namespace ctrd::registry;

namespace {

RegistriesConf conf(std::string_view text) {
    RegistriesConf result;
    const auto added = result.add(text, "test.conf");
    if (!added)
        FAIL(added.error().message);
    return result;
}

Reference reference(std::string_view text) { return image::parse_reference(text).value(); }

std::vector<std::string> names(const Result<std::vector<Endpoint>>& endpoints) {
    std::vector<std::string> result;
    if (!endpoints)
        return {"error: " + endpoints.error().message};
    for (const auto& endpoint : *endpoints)
        result.push_back(endpoint.reference.text() + (endpoint.insecure ? " insecure" : ""));
    return result;
}

using Names = std::vector<std::string>;
const std::string digest = "@sha256:" + std::string(64, '0');

} // namespace

TEST_CASE("an image of a registry that nothing is said of is where its name says", "[registry]") {
    CHECK(names(conf("").pull_endpoints(reference("r.example/a:1"))) == Names{"r.example/a:1"});
}

TEST_CASE("mirrors come first, each with its own security, and the rest of the name is kept", "[registry]") {
    const auto c = conf(R"(
        [[registry]]
        prefix = "r.example/team"
        location = "inner.example:5000/mirrored"
        insecure = true
        [[registry.mirror]]
        location = "one.example/x"
        [[registry.mirror]]
        location = "two.example"
        insecure = true
    )");
    CHECK(names(c.pull_endpoints(reference("r.example/team/web:1"))) ==
          Names{"one.example/x/web:1", "two.example/web:1 insecure", "inner.example:5000/mirrored/web:1 insecure"});
    CHECK(names(c.pull_endpoints(reference("r.example/teamwork/web"))) == Names{"r.example/teamwork/web"});
    CHECK(c.push_endpoint(reference("r.example/team/web"))->reference.text() == "inner.example:5000/mirrored/web");
}

TEST_CASE("the longest prefix counts, and a blocked one is refused", "[registry]") {
    const auto c = conf(R"(
        [[registry]]
        location = "r.example"
        blocked = true
        [[registry]]
        location = "r.example/good"
    )");
    CHECK(names(c.pull_endpoints(reference("r.example/good/a"))) == Names{"r.example/good/a"});
    CHECK(names(c.pull_endpoints(reference("r.example/a"))).front().find("blocked") != std::string::npos);
    CHECK_FALSE(c.push_endpoint(reference("r.example/a")));
}

TEST_CASE("a prefix for all subdomains matches these and nothing else", "[registry]") {
    const auto c = conf(R"(
        [[registry]]
        prefix = "*.example.org"
        insecure = true
        [[registry]]
        prefix = "*.moved.org"
        location = "there.example/x"
    )");
    CHECK(names(c.pull_endpoints(reference("a.b.example.org/x"))) == Names{"a.b.example.org/x insecure"});
    CHECK(names(c.pull_endpoints(reference("example.org/x"))) == Names{"example.org/x"});
    CHECK(names(c.pull_endpoints(reference("a.example.org.evil.net/x"))) == Names{"a.example.org.evil.net/x"});
    CHECK(names(c.pull_endpoints(reference("evil.net/a.example.org/x"))) == Names{"evil.net/a.example.org/x"});
    CHECK(names(c.pull_endpoints(reference("evilexample.org/x"))) == Names{"evilexample.org/x"});
    CHECK(names(c.pull_endpoints(reference("a.moved.org/b/c:1"))) == Names{"there.example/x/b/c:1"});
}

TEST_CASE("a mirror may be for digests or for tags only", "[registry]") {
    const auto c = conf(R"(
        [[registry]]
        location = "r.example"
        [[registry.mirror]]
        location = "d.example"
        pull-from-mirror = "digest-only"
        [[registry.mirror]]
        location = "t.example"
        pull-from-mirror = "tag-only"
    )");
    CHECK(names(c.pull_endpoints(reference("r.example/a:1"))) == Names{"t.example/a:1", "r.example/a:1"});
    CHECK(names(c.pull_endpoints(reference("r.example/a" + digest))) ==
          Names{"d.example/a" + digest, "r.example/a" + digest});
    const auto old = conf("[[registry]]\nlocation = 'r.example'\nmirror-by-digest-only = true\n"
                          "[[registry.mirror]]\nlocation = 'm.example'");
    CHECK(names(old.pull_endpoints(reference("r.example/a"))) == Names{"r.example/a"});
}

TEST_CASE("a short name is an alias, or one of the registries to search", "[registry]") {
    const auto c = conf(R"(
        unqualified-search-registries = ["one.example", "two.example/team"]
        [aliases]
        "web" = "alias.example/team/web"
    )");
    const auto texts = [](const Result<std::vector<Reference>>& all) {
        Names result;
        for (const auto& one : all.value())
            result.push_back(one.text());
        return result;
    };
    CHECK(texts(c.candidates(reference("web:2"))) == Names{"alias.example/team/web:2"});
    CHECK(texts(c.candidates(reference("other"))) == Names{"one.example/other", "two.example/team/other"});
    CHECK(texts(c.candidates(reference("x.example/other"))) == Names{"x.example/other"});
    const auto none = conf("").candidates(reference("web"));
    REQUIRE_FALSE(none);
    CHECK(none.error().hint.find("unqualified-search-registries") != std::string::npos);
}

TEST_CASE("with enforcing, nobody decides among several registries", "[registry]") {
    auto c = conf("unqualified-search-registries = ['one.example', 'two.example']\nshort-name-mode = 'enforcing'");
    CHECK_FALSE(c.candidates(reference("web")));
    c.search.pop_back();
    CHECK(c.candidates(reference("web")));
}

TEST_CASE("a later file replaces entries of the same prefix and takes aliases back", "[registry]") {
    auto c =
        conf("unqualified-search-registries = ['one.example']\n[[registry]]\nlocation = 'r.example'\nblocked = true\n"
             "[aliases]\n'web' = 'a.example/web'");
    REQUIRE(c.add("[[registry]]\nlocation = 'r.example'\n[aliases]\n'web' = ''", "later.conf"));
    CHECK(names(c.pull_endpoints(reference("r.example/a"))) == Names{"r.example/a"});
    CHECK(c.candidates(reference("web"))->front().text() == "one.example/web");
}

TEST_CASE("a mistake in registries.conf is named with its place", "[registry]") {
    for (const char* text :
         {"unqualified-search-registries = 'x'", "unqualified-search-registries = ['https://x.example']",
          "[[registry]]", "[[registry]]\nlocation = 'https://r.example'", "[[registry]]\nlocation = 5",
          "[[registry]]\nlocation = 'r.example'\nblocked = 'yes'",
          "[[registry]]\nlocation = 'r.example'\n[[registry.mirror]]\ninsecure = true",
          "[[registry]]\nlocation = 'r.example'\n[[registry]]\nprefix = 'r.example'\nlocation = 'x.example'",
          "[[registry]]\nlocation = 'r.example'\n[[registry.mirror]]\nlocation = 'm.example'\n"
          "pull-from-mirror = 'sometimes'",
          "[[registry]]\nlocation = '../x'", "short-name-mode = 'maybe'", "[aliases]\n'a' = 'b'",
          "[aliases]\n'r.example/a' = 'r.example/b'", "[registries.search]\nregistries = ['x']", "not toml"}) {
        INFO(text);
        RegistriesConf c;
        const auto added = c.add(text, "test.conf");
        REQUIRE_FALSE(added);
        CHECK(added.error().message.find("test.conf") != std::string::npos);
    }
    RegistriesConf c;
    CHECK(c.add("credential-helpers = ['x']\nsomething-new = 5", "test.conf")); // other programs' keys
}
