#include "ctrd/image/hasher.hpp"

#include <openssl/evp.h>

#include <cstdlib>

namespace ctrd::image {

// These calls fail only without memory, or where OpenSSL has been built without SHA-2; going on would turn unchecked
// content into checked one.
Hasher::Hasher(Algorithm algorithm) : algorithm_{algorithm}, context_{EVP_MD_CTX_new()} {
    const EVP_MD* type = algorithm == Algorithm::sha256 ? EVP_sha256() : EVP_sha512();
    if (!context_ || EVP_DigestInit_ex(context_.get(), type, nullptr) != 1)
        std::abort();
}

Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

void Hasher::Free::operator()(evp_md_ctx_st* context) const noexcept { EVP_MD_CTX_free(context); }

void Hasher::update(std::string_view data) {
    if (EVP_DigestUpdate(context_.get(), data.data(), data.size()) != 1)
        std::abort();
}

Digest Hasher::finish() {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (EVP_DigestFinal_ex(context_.get(), bytes, &length) != 1)
        std::abort();
    return Digest::from_bytes(algorithm_, {reinterpret_cast<const char*>(bytes), length});
}

Digest digest_of(std::string_view data, Algorithm algorithm) {
    Hasher hasher{algorithm};
    hasher.update(data);
    return hasher.finish();
}

} // namespace ctrd::image
