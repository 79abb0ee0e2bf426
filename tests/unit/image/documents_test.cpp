#include "ctrd/image/documents.hpp"
#include "ctrd/image/hasher.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using namespace ctrd::image;

namespace {

const std::string sha(64, 'a');
const std::string other_sha(64, 'b');

std::string descriptor(const std::string& hex, const std::string& more = "") {
    return R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:)" + hex + R"(","size":7)" +
           more + "}";
}

std::string index_of(const std::string& entries) { return R"({"schemaVersion":2,"manifests":[)" + entries + "]}"; }

std::string on(const std::string& architecture, const std::string& variant = "") {
    return R"(,"platform":{"os":"linux","architecture":")" + architecture + R"(","variant":")" + variant + R"("})";
}

std::string message(const auto& result) { return result ? "" : result.error().message; }

} // namespace

TEST_CASE("a digest is an algorithm that we know and exactly its hex digits", "[image]") {
    CHECK(Digest::parse("sha256:" + sha)->text() == "sha256:" + sha);
    CHECK(Digest::parse("sha512:" + sha + sha)->algorithm() == Algorithm::sha512);
    for (const std::string bad : {"", "sha256:", "sha256", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:../../etc"})
        CHECK_FALSE(Digest::parse(bad).has_value());
    CHECK_FALSE(Digest::parse("sha256:" + sha + "a").has_value());
    CHECK_FALSE(Digest::parse("sha256:" + std::string(64, 'A')).has_value());
    CHECK_FALSE(Digest::parse("sha512:" + sha).has_value());
    CHECK_FALSE(Digest::parse("sha256:" + sha.substr(1) + "/").has_value());
}

TEST_CASE("a hash over pieces is the hash over the whole", "[image]") {
    Hasher hasher{Algorithm::sha256};
    hasher.update("ab");
    hasher.update("c");
    CHECK(hasher.finish().text() == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(digest_of("abc", Algorithm::sha512).hex().starts_with("ddaf35a193617aba"));
}

TEST_CASE("a manifest gives its config and its layers in their order", "[image]") {
    const auto document = parse_document(R"({"schemaVersion":2,"config":)" + descriptor(sha) + R"(,"layers":[)" +
                                         descriptor(other_sha) + "," + descriptor(sha) + "]}");
    REQUIRE(document.has_value());
    const auto& manifest = std::get<Manifest>(*document);
    CHECK(manifest.config.digest.hex() == sha);
    REQUIRE(manifest.layers.size() == 2);
    CHECK(manifest.layers[0].digest.hex() == other_sha);
    CHECK(manifest.layers[0].size == 7);
    const auto again = parse_document(to_json(manifest));
    REQUIRE(again.has_value());
    CHECK(std::get<Manifest>(*again).layers.size() == 2);
}

TEST_CASE("what could be read as a manifest and as an index is refused", "[image]") {
    const auto both = parse_document(R"({"schemaVersion":2,"manifests":[],"config":)" + descriptor(sha) + "}");
    CHECK(message(both) == "the document is a manifest and an index at once");
    const auto announced = parse_document(index_of(""), media::oci_manifest);
    CHECK_FALSE(announced.has_value());
    const auto contradicted =
        parse_document(R"({"schemaVersion":2,"mediaType":")" + std::string{media::oci_index} + R"(","manifests":[]})",
                       media::oci_manifest);
    CHECK(message(contradicted).find("was announced as") != std::string::npos);
}

TEST_CASE("documents are bounded in size and depth", "[image]") {
    CHECK(message(parse_document(std::string(max_document_size + 1, ' '))).find("more than") != std::string::npos);
    CHECK(message(parse_document(R"({"schemaVersion":2,"x":)" + std::string(100000, '['))).find("deep") !=
          std::string::npos);
    // Brackets in a string are text.
    CHECK(message(parse_document(R"({"schemaVersion":1,"x":"\")" + std::string(100, '[') + R"("})")) ==
          "schemaVersion is not 2");
    CHECK(message(parse_document("[]")) == "the top of the document is not an object");
    CHECK(message(parse_document("{")) == "the document is not valid JSON");
}

TEST_CASE("sizes that are negative or larger than any blob are refused", "[image]") {
    const std::string head = R"({"schemaVersion":2,"layers":[],"config":{"digest":"sha256:)" + sha + R"(","size":)";
    CHECK(parse_document(head + "5}}").has_value());
    CHECK_FALSE(parse_document(head + "-1}}").has_value());
    CHECK_FALSE(parse_document(head + "1e30}}").has_value());
    CHECK_FALSE(parse_document(head + "18446744073709551615}}").has_value());
    CHECK_FALSE(parse_document(head + "\"5\"}}").has_value());
}

TEST_CASE("an index gives the entry of the machine, the nearest variant first", "[image]") {
    const auto chosen = [](const std::string& entries, const Platform& wanted) {
        return choose(std::get<Index>(*parse_document(index_of(entries))), wanted);
    };
    const std::string entries = descriptor(sha, on("amd64")) + "," + descriptor(other_sha, on("arm64", "v8"));
    CHECK(chosen(entries, {"linux", "amd64"})->digest.hex() == sha);
    CHECK(chosen(entries, {"linux", "arm64"})->digest.hex() == other_sha);
    const auto none = chosen(entries, {"linux", "s390x"});
    CHECK(message(none) == "the index has no image for linux/s390x");
    CHECK(none.error().hint == "it has linux/amd64, linux/arm64/v8");
    const std::string arms = descriptor(sha, on("arm", "v5")) + "," + descriptor(other_sha, on("arm", "v7"));
    CHECK(chosen(arms, {"linux", "arm", "v7"})->digest.hex() == other_sha);
    CHECK(chosen(arms, {"linux", "arm", "v6"})->digest.hex() == sha);
}

TEST_CASE("a config gives the defaults of a container", "[image]") {
    const auto config = parse_config(R"({"os":"linux","architecture":"amd64","config":{"Entrypoint":["/a"],"Cmd":null,
        "Env":["PATH=/bin","X=a=b"],"User":"www","ExposedPorts":{"80/tcp":{}},"Labels":{"l":"v"}},
        "rootfs":{"type":"layers","diff_ids":["sha256:)" +
                                     sha + R"("]},"history":[{"empty_layer":true}]})");
    REQUIRE(config.has_value());
    CHECK(config->entrypoint == std::vector<std::string>{"/a"});
    CHECK(config->command.empty());
    CHECK(config->environment[1] == std::pair<std::string, std::string>{"X", "a=b"});
    CHECK(config->exposed_ports == std::vector<std::string>{"80/tcp"});
    CHECK(config->history[0].empty_layer);
}

TEST_CASE("a config's variable without a value is refused, not taken from elsewhere", "[image]") {
    const auto config = parse_config(R"({"config":{"Env":["SECRET"]},"rootfs":{"type":"layers","diff_ids":[]}})");
    CHECK(message(config) == "config.Env: 'SECRET' is not NAME=VALUE");
}

TEST_CASE("chain ids name a layer together with all below it", "[image]") {
    const auto a = *Digest::parse("sha256:" + sha), b = *Digest::parse("sha256:" + other_sha);
    const auto chain = chain_ids({a, b});
    CHECK(chain[0] == a);
    CHECK(chain[1] == digest_of(a.text() + " " + b.text()));
    CHECK(chain_ids({b, a})[1] != chain[1]);
}

TEST_CASE("a layer's type says whether it is a tar", "[image]") {
    for (const char* type :
         {"", "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+zstd",
          "application/vnd.docker.image.rootfs.diff.tar.gzip",
          "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
          "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "application/tar"})
        CHECK(is_tar_type(type));
    for (const char* type : {"application/vnd.erofs.layer.v1", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
                             "application/vnd.in-toto+json", "application/octet-stream", "tart", "."})
        CHECK_FALSE(is_tar_type(type));
}
