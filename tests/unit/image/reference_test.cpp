#include "ctrd/image/reference.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using image::parse_reference;

namespace {

const std::string hex64(64, 'a');
const std::string hex128(128, 'b');

} // namespace

TEST_CASE("a reference is taken apart into registry, name, tag and digest", "[registry]") {
    const auto full = parse_reference("registry.example.org:5000/team/web:1.4@sha256:" + hex64);
    REQUIRE(full);
    CHECK(full->registry == "registry.example.org:5000");
    CHECK(full->repository == "team/web");
    CHECK(full->tag == "1.4");
    REQUIRE(full->digest);
    CHECK(full->digest->text() == "sha256:" + hex64);
    CHECK(full->identifier() == "sha256:" + hex64);
    CHECK(full->text() == "registry.example.org:5000/team/web:1.4@sha256:" + hex64);
    CHECK(parse_reference("a/b@sha512:" + hex128));
}

TEST_CASE("the first component is a registry where it can be no path", "[registry]") {
    for (const char* text : {"localhost/a", "host.domain/a", "host:80/a", "[::1]:5000/a", "Host/a", "127.0.0.1/a"}) {
        INFO(text);
        const auto reference = parse_reference(text);
        REQUIRE(reference);
        CHECK(reference->repository == "a");
        CHECK_FALSE(reference->is_short());
    }
    for (const char* text : {"a", "a/b", "host/a", "a:tag", "localhost:5000"}) {
        INFO(text);
        const auto reference = parse_reference(text);
        REQUIRE(reference);
        CHECK(reference->is_short());
    }
    CHECK(parse_reference("localhost:5000")->tag == "5000");
    CHECK(parse_reference("a")->identifier() == "latest");
}

TEST_CASE("no registry's names are completed: that is for registries.conf", "[registry]") {
    CHECK(parse_reference("r.example/busybox")->name() == "r.example/busybox");
    CHECK(parse_reference("busybox")->name() == "busybox");
}

TEST_CASE("what is no reference is refused", "[registry]") {
    const std::string long_name(300, 'a');
    const std::string long_tag = "a:" + std::string(129, 'x');
    const std::string upper = "a@sha256:" + std::string(64, 'A');
    const std::string traversal = "a@sha256:" + std::string(58, 'a') + "/../..";
    for (const std::string& text : {std::string{},
                                    std::string{"/"},
                                    std::string{"a/"},
                                    std::string{"/a"},
                                    std::string{"a//b"},
                                    std::string{"../a"},
                                    std::string{"a/../b"},
                                    std::string{"a/./b"},
                                    std::string{".a"},
                                    std::string{"a."},
                                    std::string{"a..b"},
                                    std::string{"a___b"},
                                    std::string{"a._b"},
                                    std::string{"A"},
                                    std::string{"a b"},
                                    std::string{"a\nb"},
                                    std::string{"a\0b", 3},
                                    std::string{"a:"},
                                    std::string{"a:-x"},
                                    std::string{"a:b:c"},
                                    std::string{"a:b/c:"},
                                    std::string{"a@"},
                                    std::string{"a@sha256:"},
                                    std::string{"a@md5:0123"},
                                    "a@sha256:" + hex64 + "0",
                                    "a@sha512:" + hex64,
                                    "a@sha256:" + hex64 + "@sha256:" + hex64,
                                    upper,
                                    traversal,
                                    std::string{"host:0/a"},
                                    std::string{"host:65536/a"},
                                    std::string{"host:/a"},
                                    std::string{"-host.x/a"},
                                    std::string{"host..x/a"},
                                    std::string{"user@host.x/a"},
                                    std::string{"https://host.x/a"},
                                    std::string{"[::1/a"},
                                    std::string{"[]/a"},
                                    std::string{"[::1]x/a"},
                                    std::string{"host.x/a?b"},
                                    std::string{"host.x/a%2e%2e"},
                                    long_name,
                                    long_tag}) {
        INFO(text);
        CHECK_FALSE(parse_reference(text));
    }
    CHECK(parse_reference("a/b__c-d---e.f_g"));
}
