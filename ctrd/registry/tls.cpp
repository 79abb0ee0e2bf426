#include "ctrd/registry/tls.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace ctrd::registry {
namespace {

struct FreeBio {
    void operator()(BIO* bio) const noexcept { ::BIO_free(bio); }
};
struct FreeX509 {
    void operator()(X509* certificate) const noexcept { ::X509_free(certificate); }
};

Result<void> add_authorities(X509_STORE* store, const std::string& text) {
    const std::unique_ptr<BIO, FreeBio> bio{::BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
    std::size_t count = 0;
    for (; bio; ++count) {
        const std::unique_ptr<X509, FreeX509> certificate{::PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)};
        if (!certificate)
            break;
        ::X509_STORE_add_cert(store, certificate.get());
    }
    ::ERR_clear_error();
    if (count == 0)
        return fail(bad_input("what certs.d has for the registry (*.crt) holds no certificate in PEM form"));
    return {};
}

} // namespace

Result<TlsFiles> make_tls(const CertificateTexts& texts) {
    TlsFiles files{{::X509_STORE_new(), ::X509_STORE_free}, texts.certificate, texts.key};
    if (!files.authorities || ::X509_STORE_set_default_paths(files.authorities.get()) != 1)
        return fail(Error{std::errc::io_error, "cannot use the system's certificate authorities", ""});
    // What the administrator names is trusted as it is, also where it is no self-signed root.
    ::X509_STORE_set_flags(files.authorities.get(), X509_V_FLAG_PARTIAL_CHAIN);
    if (!texts.authorities.empty())
        TRY_VOID(add_authorities(files.authorities.get(), texts.authorities));
    return files;
}

} // namespace ctrd::registry
