#include "ctrd/image/trust.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using namespace ctrd::image;
using Match = SignedIdentity::Match;

namespace {

constexpr const char* ecdsa_key = "-----BEGIN PUBLIC KEY-----\n"
                                  "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEdheS2w7lDBic9XhJ6t8mRFiAllPZ\n"
                                  "mCXLpwa5Lu5+P+9n6vdHPgQAwzyLyJEUdS4oXDM/RwbZnRk3Djd0BLp0cw==\n"
                                  "-----END PUBLIC KEY-----\n";
// Of "hello".
constexpr unsigned char ecdsa_signature[] = {
    0x30, 0x45, 0x02, 0x21, 0x00, 0xfd, 0x4e, 0x0a, 0xf0, 0xf3, 0xbd, 0x18, 0x07, 0x80, 0xc1, 0xc8, 0x4a, 0x91,
    0xd7, 0x43, 0xe3, 0xbb, 0xaf, 0xa4, 0xa8, 0x48, 0x0e, 0x86, 0x82, 0xbf, 0x6c, 0xf5, 0x58, 0x6d, 0xe4, 0x7c,
    0xae, 0x02, 0x20, 0x32, 0xab, 0x82, 0xc3, 0x01, 0x64, 0xe8, 0xd9, 0x7d, 0xc2, 0xc0, 0x3d, 0x4c, 0xa7, 0x41,
    0x78, 0xa4, 0x44, 0xc1, 0x9b, 0x76, 0x2a, 0xf8, 0xbf, 0xd6, 0x78, 0xe7, 0xb9, 0xe6, 0x59, 0x56, 0x09};

Policy policy(const std::string& text) {
    auto parsed = Policy::parse(text, "policy.json");
    REQUIRE(parsed);
    return *parsed;
}

std::string scope_of(const Policy& policy, const std::string& name) {
    std::string scope;
    static_cast<void>(policy.for_registry(*parse_reference(name), scope));
    return scope;
}

bool fits(Match match, const std::string& asked, const std::string& said, const std::string& value = {},
          const std::string& signed_prefix = {}) {
    return identity_fits({match, value, signed_prefix}, *parse_reference(asked), *parse_reference(said));
}

} // namespace

TEST_CASE("the most exact scope of policy.json counts", "[policy]") {
    const std::string accept = R"([{"type": "insecureAcceptAnything"}])";
    const Policy some = policy(R"({"default": [{"type": "reject"}], "transports": {"docker": {
        "r.example/a/b:1": )" + accept +
                               R"(, "r.example/a/b": )" + accept + R"(, "r.example/a": )" + accept +
                               R"(, "r.example": )" + accept + R"(, "*.wide.example": )" + accept + "}}}");
    CHECK(scope_of(some, "r.example/a/b:1") == "r.example/a/b:1");
    CHECK(scope_of(some, "r.example/a/b:2") == "r.example/a/b");
    CHECK(scope_of(some, "r.example/a/bc") == "r.example/a");
    CHECK(scope_of(some, "r.example/ab") == "r.example");
    CHECK(scope_of(some, "x.y.wide.example:5000/a") == "*.wide.example");
    CHECK(scope_of(some, "wide.example/a") == "default");
    CHECK(scope_of(some, "r.example.org/a") == "default");
}

TEST_CASE("policy.json with what is not known is refused, and what is not done is remembered as that", "[policy]") {
    for (const char* text :
         {"{}", R"({"default": []})", R"({"default": [{"type": "trust"}]})",
          R"({"default": [{"type": "reject"}], "transport": {}})", R"({"default": [{"type": "sigstoreSigned"}]})",
          R"({"default": [{"type": "sigstoreSigned", "keyPath": "/k", "maybe": 1}]})",
          R"({"default": [{"type": "sigstoreSigned", "keyPath": "/k", "signedIdentity": {"type": "x"}}]})"})
        CHECK_FALSE(Policy::parse(text, "policy.json"));
    std::string scope;
    for (const char* text :
         {R"({"default": [{"type": "signedBy"}]})",
          R"({"default": [{"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPath": "/r"}]})"})
        CHECK(policy(text).for_registry(*parse_reference("r.example/a"), scope).front().kind ==
              Requirement::Kind::not_done);
}

TEST_CASE("a signature is for the name that was asked for", "[policy]") {
    CHECK(fits(Match::repository_digest_or_exact, "r.example/a:1", "r.example/a:1"));
    CHECK_FALSE(fits(Match::repository_digest_or_exact, "r.example/a:1", "r.example/a:2"));
    CHECK_FALSE(fits(Match::repository_digest_or_exact, "r.example/a:1", "r.example/a"));
    const std::string digest = "@sha256:" + std::string(64, '0');
    CHECK(fits(Match::repository_digest_or_exact, "r.example/a" + digest, "r.example/a:2"));
    CHECK_FALSE(fits(Match::exact, "r.example/a" + digest, "r.example/a:2"));
    CHECK(fits(Match::repository, "r.example/a:1", "r.example/a"));
    CHECK_FALSE(fits(Match::repository, "r.example/a:1", "r.example/b:1"));
    CHECK(fits(Match::exact_reference, "mirror.example/a:1", "r.example/a:1", "r.example/a:1"));
    CHECK(fits(Match::exact_repository, "mirror.example/a:1", "r.example/a:7", "r.example/a"));
    CHECK(fits(Match::remapped, "mirror.example/x/a:1", "r.example/a:1", "mirror.example/x", "r.example"));
    CHECK_FALSE(fits(Match::remapped, "mirror.example/xy/a:1", "r.example/a:1", "mirror.example/x", "r.example"));
}

TEST_CASE("requirements reach the worker as they were", "[policy]") {
    const Requirements all{{Requirement::Kind::sigstore, {{"/k", "PEM"}}, {Match::remapped, "a", "b"}},
                           {Requirement::Kind::not_done, {}, {}, "'signedBy'"}};
    const auto back = requirements_from(to_json(all));
    REQUIRE(back);
    REQUIRE(back->size() == 2);
    CHECK(back->at(0).keys.at(0).pem == "PEM");
    CHECK(back->at(0).identity.signed_prefix == "b");
    CHECK(back->at(1).kind == Requirement::Kind::not_done);
    CHECK(back->at(1).what == "'signedBy'");
}

TEST_CASE("a signature is checked against the very bytes", "[trust]") {
    const std::string signature{reinterpret_cast<const char*>(ecdsa_signature), sizeof ecdsa_signature};
    CHECK(is_signed_by(ecdsa_key, "hello", signature));
    CHECK_FALSE(is_signed_by(ecdsa_key, "hello!", signature));
    CHECK_FALSE(is_signed_by(ecdsa_key, "hello", signature.substr(1)));
    CHECK_FALSE(is_signed_by(ecdsa_key, "hello", ""));
    CHECK_FALSE(is_signed_by("no key", "hello", signature));
}

TEST_CASE("a statement without a digest or a name says nothing", "[trust]") {
    const std::string digest = "sha256:" + std::string(64, 'a');
    const auto statement = [](const std::string& type, const std::string& image) {
        return R"({"critical": {"type": ")" + type +
               R"(", "identity": {"docker-reference": "r.example/a"}, "image": )" + image + "}}";
    };
    const std::string cosign = "cosign container image signature";
    const auto good = parse_statement(statement(cosign, R"({"docker-manifest-digest": ")" + digest + "\"}"));
    REQUIRE(good);
    CHECK(good->digest.text() == digest);
    CHECK(good->identity.name() == "r.example/a");
    CHECK_FALSE(parse_statement(statement("something else", R"({"docker-manifest-digest": ")" + digest + "\"}")));
    CHECK_FALSE(parse_statement(statement(cosign, "{}")));
    CHECK_FALSE(parse_statement(statement(cosign, R"({"docker-manifest-digest": "sha256:ab"})")));
    CHECK_FALSE(parse_statement("{}"));
}
