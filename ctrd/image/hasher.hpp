// A hash over a stream, by OpenSSL's EVP.
#pragma once

#include "ctrd/image/digest.hpp"

#include <memory>

struct evp_md_ctx_st;

namespace ctrd::image {

class Hasher {
public:
    explicit Hasher(Algorithm algorithm);
    Hasher(Hasher&&) noexcept;
    Hasher& operator=(Hasher&&) noexcept;
    ~Hasher();

    void update(std::string_view data);
    /// Once, at the end.
    Digest finish();

private:
    struct Free {
        void operator()(evp_md_ctx_st* context) const noexcept;
    };
    Algorithm algorithm_;
    std::unique_ptr<evp_md_ctx_st, Free> context_;
};

Digest digest_of(std::string_view data, Algorithm algorithm = Algorithm::sha256);

} // namespace ctrd::image
