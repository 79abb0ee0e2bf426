// Whether an image satisfies what policy.json asks of it. Signatures are those that cosign makes with a key: a manifest
// in the image's own repository, under a tag made of the signed digest or as a referrer of it, whose layers are
// statements about an image, each with its signature in an annotation.
#pragma once

#include "ctrd/image/fetcher.hpp"
#include "ctrd/image/policy.hpp"

namespace ctrd::image {

/// What is signed: the manifest itself, or the index that names it.
struct TrustQuestion {
    Reference asked{}; // complete
    std::vector<Digest> digests{};
    std::string scope{}; // of policy.json, for messages
};

/// How it was satisfied, for people ("" where nothing was asked for); an error where it was not.
Result<std::string> check_trust(const Requirements& requirements, const TrustQuestion& question,
                                const Fetcher& fetcher);

/// Whether `signature` (not base64 any more) of `payload` is one by the public key (ECDSA, RSA or Ed25519; PEM).
bool is_signed_by(const std::string& pem, std::string_view payload, std::string_view signature);

/// What a signed statement is about.
struct Statement {
    Digest digest;
    Reference identity{};
};
Result<Statement> parse_statement(std::string_view payload);

} // namespace ctrd::image
