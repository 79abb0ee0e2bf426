// Whom a registry's host is believed by, and who we are to it: the system's CAs, and below certs.d/HOST[:PORT] what an
// administrator has put there for this host alone (*.crt; NAME.cert with NAME.key), as Docker and Podman have it.
#pragma once

#include "ctrd/base/result.hpp"

#include <memory>
#include <vector>

struct x509_store_st;

namespace ctrd::registry {

struct TlsFiles {
    std::shared_ptr<x509_store_st> authorities{};
    std::string certificate{}; // PEM; empty: none
    std::string key{};         // PEM
};

/// /etc/containers/certs.d, /etc/docker/certs.d, and before them a user's own.
std::vector<std::string> certificate_folders();

/// `host`: "host" or "host:port", as it stands in the reference.
Result<TlsFiles> load_tls_files(const std::string& host, const std::vector<std::string>& folders);

} // namespace ctrd::registry
