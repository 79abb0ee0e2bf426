#include "ctrd/image/hasher.hpp"

#include <dlfcn.h>
#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>

namespace ctrd::image {
namespace {

/// What is used of libcrypto, which is loaded with the first hash: most that ctrctl and the generator do needs none,
/// and loading it was a quarter of ctrctl's start. A program that has it anyway is given that one, and no file is
/// opened: the confined workers could not.
struct Crypto {
    decltype(&EVP_MD_CTX_new) new_context{};
    decltype(&EVP_MD_CTX_free) free_context{};
    decltype(&EVP_sha256) sha256{};
    decltype(&EVP_sha512) sha512{};
    decltype(&EVP_DigestInit_ex) init{};
    decltype(&EVP_DigestUpdate) update{};
    decltype(&EVP_DigestFinal_ex) finish{};
};

template <class Function> void find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    if (function == nullptr) {
        std::fprintf(stderr, "libcrypto has no %s\n", name);
        std::abort();
    }
}

Crypto load() {
    constexpr const char* name = "libcrypto.so." OPENSSL_MSTR(OPENSSL_SHLIB_VERSION);
    void* library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        std::fprintf(stderr, "cannot load %s, for hashes: %s\n", name, ::dlerror());
        std::abort();
    }
    Crypto crypto;
    find(library, "EVP_MD_CTX_new", crypto.new_context);
    find(library, "EVP_MD_CTX_free", crypto.free_context);
    find(library, "EVP_sha256", crypto.sha256);
    find(library, "EVP_sha512", crypto.sha512);
    find(library, "EVP_DigestInit_ex", crypto.init);
    find(library, "EVP_DigestUpdate", crypto.update);
    find(library, "EVP_DigestFinal_ex", crypto.finish);
    return crypto;
}

const Crypto& crypto() {
    static const Crypto loaded = load();
    return loaded;
}

} // namespace

// These calls fail only without memory, or where OpenSSL has been built without SHA-2; going on would turn unchecked
// content into checked one.
Hasher::Hasher(Algorithm algorithm) : algorithm_{algorithm}, context_{crypto().new_context()} {
    const EVP_MD* type = algorithm == Algorithm::sha256 ? crypto().sha256() : crypto().sha512();
    if (!context_ || crypto().init(context_.get(), type, nullptr) != 1)
        std::abort();
}

Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

void Hasher::Free::operator()(evp_md_ctx_st* context) const noexcept { crypto().free_context(context); }

void Hasher::update(std::string_view data) {
    if (crypto().update(context_.get(), data.data(), data.size()) != 1)
        std::abort();
}

Digest Hasher::finish() {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (crypto().finish(context_.get(), bytes, &length) != 1)
        std::abort();
    return Digest::from_bytes(algorithm_, {reinterpret_cast<const char*>(bytes), length});
}

Digest digest_of(std::string_view data, Algorithm algorithm) {
    Hasher hasher{algorithm};
    hasher.update(data);
    return hasher.finish();
}

} // namespace ctrd::image
