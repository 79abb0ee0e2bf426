// What certs.d has for one registry (*.crt; NAME.cert with NAME.key), as Docker and Podman have it: as texts, since
// keys are root's to read and who connects is not root.
#pragma once

#include "ctrd/base/result.hpp"

#include <functional>
#include <vector>

namespace ctrd::registry {

struct CertificateTexts {
    std::string authorities{}; // PEM, any number of them
    std::string certificate{}; // PEM; empty: none
    std::string key{};         // PEM
    bool operator==(const CertificateTexts&) const = default;
};

/// For "host" or "host:port", as it stands in a reference.
using FindCertificates = std::function<Result<CertificateTexts>(const std::string& host)>;

/// /etc/containers/certs.d, /etc/docker/certs.d, and before them a user's own.
std::vector<std::string> certificate_folders();

/// From HOST below each of `folders`; a folder that is missing has nothing.
Result<CertificateTexts> read_certificates(const std::string& host, const std::vector<std::string>& folders);
/// From one folder.
Result<void> add_certificates(CertificateTexts& texts, const std::string& folder);

} // namespace ctrd::registry
