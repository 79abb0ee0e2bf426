#include "ctrd/registry/blob_progress.hpp"
#include "ctrd/registry/wire.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using namespace ctrd::registry;

TEST_CASE("what ctr-fetch is given is what ctrctl has read", "[registry]") {
    FetchSettings settings;
    settings.reference = *image::parse_reference("r.example/a/b:1@sha256:" + std::string(64, '0'));
    REQUIRE(settings.registries.add(R"(
unqualified-search-registries = ["s.example"]
short-name-mode = "enforcing"
[[registry]]
prefix = "r.example"
location = "other.example"
insecure = true
[[registry.mirror]]
location = "m.example"
pull-from-mirror = "digest-only"
[aliases]
"web" = "r.example/web"
)",
                                    "registries.conf"));
    settings.registries.insecure = false;
    settings.credentials["m.example/a/b"] = {"me", std::string{"pass\xff\0word", 10}, ""};
    settings.certificates["m.example"] = {"authorities", "certificate", "key"};
    settings.proxies["https_proxy"] = "http://user:pass@proxy.example";
    settings.manifest = "{}";
    settings.manifest_type = "type";
    const auto back = settings_from(to_text(settings));
    REQUIRE(back);
    CHECK(back->reference == settings.reference);
    CHECK(back->credentials == settings.credentials);
    CHECK(back->certificates == settings.certificates);
    CHECK(back->proxies == settings.proxies);
    CHECK(back->manifest == "{}");
    CHECK(back->manifest_type == "type");
    CHECK(back->registries.mode == ShortNameMode::enforcing);
    CHECK(back->registries.aliases == settings.registries.aliases);
    const auto endpoints = back->registries.pull_endpoints(settings.reference);
    REQUIRE(endpoints);
    REQUIRE(endpoints->size() == 2);
    CHECK(endpoints->at(0).reference.registry == "m.example");
    CHECK(endpoints->at(1).reference.registry == "other.example");
    CHECK_FALSE(endpoints->at(1).insecure); // the command line is over registries.conf
}

TEST_CASE("a blob that somebody else hashes is still counted", "[registry]") {
    const Descriptor wanted{"x", image::digest_of("0123456789"), 10};
    auto progress = BlobProgress::counted(wanted, 4);
    CHECK(progress.left() == 6);
    CHECK(progress.add("45678"));
    CHECK_FALSE(progress.finish());
    CHECK(progress.add("X"));
    CHECK(progress.finish());
    CHECK_FALSE(progress.add("Y"));
}
