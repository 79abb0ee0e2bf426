// What the process that speaks HTTP is given to work with. ctrctl reads the machine's files, which are root's; that
// process has another user and sees none of them: it gets all of it as one text, over a descriptor.
#pragma once

#include "ctrd/registry/certificates.hpp"
#include "ctrd/registry/credentials.hpp"
#include "ctrd/registry/registries_conf.hpp"

namespace ctrd::registry {

struct FetchSettings {
    Reference reference{}; // pulled, pushed to; of a log-in: registry alone
    RegistriesConf registries{};
    std::map<std::string, Credentials> credentials{};       // by "registry/repository" of an endpoint
    std::map<std::string, CertificateTexts> certificates{}; // by "host[:port]"
    std::map<std::string, std::string> proxies{};           // environment variables
    std::string manifest{};                                 // of a push: its text
    std::string manifest_type{};
};

/// Where the files are looked for.
struct SettingsSources {
    std::string auth_file{};          // "": the usual ones
    std::string certificate_folder{}; // "": certs.d
    std::optional<bool> verify_tls{}; // nothing: as registries.conf says
};

/// For a pull (every place that the image may come from), or a push (one).
Result<FetchSettings> gather_settings(const Reference& reference, const SettingsSources& sources, bool for_push);

std::string to_text(const FetchSettings& settings);
/// It comes from ctrctl: what is wrong in it is a bug, not an attack.
Result<FetchSettings> settings_from(std::string_view text);

} // namespace ctrd::registry
