// Whom a registry's host is believed by, and who we are to it, as libcurl and OpenSSL want it.
#pragma once

#include "ctrd/registry/certificates.hpp"

#include <memory>

struct x509_store_st;

namespace ctrd::registry {

struct TlsFiles {
    std::shared_ptr<x509_store_st> authorities{};
    std::string certificate{}; // PEM; empty: none
    std::string key{};         // PEM
};

/// The system's authorities, and those in `texts`.
Result<TlsFiles> make_tls(const CertificateTexts& texts);

} // namespace ctrd::registry
