#include "ctrd/image/trust.hpp"

#include "ctrd/base/base64.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/json.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>

namespace ctrd::image {
namespace {

constexpr const char* statement_type = "application/vnd.dev.cosign.simplesigning.v1+json";
constexpr const char* signature_annotation = "dev.cosignproject.cosign/signature";
constexpr const char* signature_artifact = "application/vnd.dev.cosign.artifact.sig.v1+json";
constexpr std::size_t most_signatures = 128;
constexpr std::size_t most_referrers = 32;
constexpr std::uint64_t largest_statement = 64U << 10;

struct Free {
    void operator()(BIO* bio) const noexcept { ::BIO_free(bio); }
    void operator()(EVP_PKEY* key) const noexcept { ::EVP_PKEY_free(key); }
    void operator()(EVP_MD_CTX* context) const noexcept { ::EVP_MD_CTX_free(context); }
};

/// Manifests whose layers are signatures of one image.
using Signatures = std::vector<Manifest>;

Result<void> add(Signatures& signatures, const FetchedDocument& fetched) {
    Document document = TRY(parse_document(fetched.text, fetched.type).context("the image's signatures"));
    if (auto* manifest = std::get_if<Manifest>(&document))
        signatures.push_back(std::move(*manifest));
    return {};
}

/// Under the tag made of `digest`; none where there is no such tag.
Result<Signatures> tagged(const Digest& digest, const Fetcher& fetcher) {
    const std::string tag = std::string{to_string(digest.algorithm())} + "-" + digest.hex() + ".sig";
    const auto fetched = fetcher.tag(tag);
    if (!fetched && fetched.error().code == std::errc::no_such_file_or_directory)
        return Signatures{};
    if (!fetched)
        return fail(Result<void>{fail(fetched.error())}.context("the image's signatures").error());
    Signatures found;
    TRY_VOID(add(found, *fetched));
    return found;
}

/// What the registry knows to refer to `digest`.
Result<Signatures> referring(const Digest& digest, const Fetcher& fetcher) {
    const auto referrers = TRY(fetcher.referrers(digest, signature_artifact).context("the image's signatures"));
    if (referrers.size() > most_referrers)
        return fail(
            bad_input("more than " + std::to_string(most_referrers) + " documents with signatures of the image"));
    Signatures found;
    for (const Descriptor& one : referrers) {
        const auto fetched = TRY(fetcher.manifest(one).context("the image's signatures"));
        TRY_VOID(add(found, fetched));
    }
    return found;
}

/// The name of the key by which one layer of a manifest of signatures satisfies `requirement`.
Result<std::string> key_that_signed(const Descriptor& layer, const Requirement& requirement, const Digest& digest,
                                    const Reference& asked, const Fetcher& fetcher) {
    const auto annotation = layer.annotations.find(signature_annotation);
    if (layer.media_type != statement_type || annotation == layer.annotations.end() || layer.size > largest_statement)
        return fail(bad_input("it is no signature"));
    const std::string signature = TRY(from_base64(annotation->second, "a signature"));
    const std::string payload = TRY(fetcher.document(layer));
    // First the signature: nothing that a stranger has written is looked into.
    const auto signer = std::ranges::find_if(
        requirement.keys, [&](const auto& key) { return is_signed_by(key.pem, payload, signature); });
    if (signer == requirement.keys.end())
        return fail(bad_input("it was made by another key"));
    const Statement statement = TRY(parse_statement(payload));
    if (statement.digest != digest)
        return fail(bad_input("it is of another image"));
    if (!identity_fits(requirement.identity, asked, statement.identity))
        return fail(bad_input("it is for the name '" + printable(statement.identity.text()) + "'"));
    return signer->name;
}

Error refused(const TrustQuestion& question, const std::string& why) {
    return {std::errc::permission_denied,
            "policy.json (" + (question.scope.empty() ? std::string{"docker"} : "'" + question.scope + "'") +
                ") does not let '" + question.asked.text() + "' in: " + why,
            "see containers-policy.json(5) and docs/registries.md"};
}

/// The key of the first signature in `signatures` that will do. "" where none does: `last` says why.
Result<std::string> key_among(const Signatures& signatures, const Requirement& requirement, const Digest& digest,
                              const TrustQuestion& question, const Fetcher& fetcher, std::string& last) {
    for (const Manifest& manifest : signatures) {
        if (manifest.layers.size() > most_signatures)
            return fail(refused(question, "it has more than " + std::to_string(most_signatures) + " signatures"));
        for (const Descriptor& layer : manifest.layers) {
            auto key = key_that_signed(layer, requirement, digest, question.asked, fetcher);
            if (key)
                return key;
            last = "no signature of it will do; the last one: " + key.error().message;
        }
    }
    return std::string{};
}

/// First by the tag, as most are attached: a registry without lists of referrers is asked for nothing else then.
Result<std::string> check_signatures(const Requirement& requirement, const TrustQuestion& question,
                                     const Fetcher& fetcher) {
    std::string last = "it is not signed";
    for (const auto& look : {tagged, referring})
        for (const Digest& digest : question.digests) {
            const Signatures signatures = TRY(look(digest, fetcher));
            auto key = TRY(key_among(signatures, requirement, digest, question, fetcher, last));
            if (!key.empty())
                return key;
        }
    return fail(refused(question, last));
}

} // namespace

bool is_signed_by(const std::string& pem, std::string_view payload, std::string_view signature) {
    const std::unique_ptr<BIO, Free> bio{::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
    const std::unique_ptr<EVP_PKEY, Free> key{bio ? ::PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr)
                                                  : nullptr};
    const std::unique_ptr<EVP_MD_CTX, Free> context{::EVP_MD_CTX_new()};
    if (!key || !context) {
        ::ERR_clear_error();
        return false;
    }
    const EVP_MD* hash = ::EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_ED25519 ? nullptr : ::EVP_sha256();
    const auto* bytes = reinterpret_cast<const unsigned char*>(signature.data());
    const auto* data = reinterpret_cast<const unsigned char*>(payload.data());
    const bool good = ::EVP_DigestVerifyInit(context.get(), nullptr, hash, nullptr, key.get()) == 1 &&
                      ::EVP_DigestVerify(context.get(), bytes, signature.size(), data, payload.size()) == 1;
    ::ERR_clear_error();
    return good;
}

Result<Statement> parse_statement(std::string_view payload) {
    const Json json = TRY(parse_json(payload, largest_statement));
    const oci::Reader in = TRY(oci::Reader::root(json));
    const auto critical = TRY(in.object("critical"));
    if (!critical)
        return fail(bad_input("'critical' is missing"));
    const std::string type = TRY(critical->required_string("type"));
    if (type != "cosign container image signature" && type != "atomic container signature")
        return fail(bad_input("it is a '" + printable(type) + "'"));
    const auto image = TRY(critical->object("image"));
    const auto identity = TRY(critical->object("identity"));
    if (!image || !identity)
        return fail(bad_input("'critical.image' or 'critical.identity' is missing"));
    const std::string digest = TRY(image->required_string("docker-manifest-digest"));
    const std::string name = TRY(identity->required_string("docker-reference"));
    return Statement{TRY(Digest::parse(digest)), TRY(parse_reference(name))};
}

Result<std::string> check_trust(const Requirements& requirements, const TrustQuestion& question,
                                const Fetcher& fetcher) {
    std::string how;
    for (const Requirement& one : requirements) {
        switch (one.kind) {
        case Requirement::Kind::accept:
            break;
        case Requirement::Kind::reject:
            return fail(refused(question, "it rejects all of them"));
        case Requirement::Kind::not_done:
            return fail(refused(question, "it asks for " + one.what + ", which ctrd can't check"));
        case Requirement::Kind::sigstore:
            how += (how.empty() ? "signed by '" : ", '") + TRY(check_signatures(one, question, fetcher)) + "'";
        }
    }
    return how;
}

} // namespace ctrd::image
