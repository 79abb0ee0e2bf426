// Which auth.json files there are, in the order in which they are asked, and changing one safely.
#pragma once

#include "ctrd/registry/credential_helper.hpp"
#include "ctrd/registry/credentials.hpp"

namespace ctrd::registry {

/// The files in which credentials are looked for. REGISTRY_AUTH_FILE, where it is set, is the only one; else
/// /etc/ctrd/auth.json (for root: containers start where nobody is logged in), then those of Podman and of Docker.
std::vector<std::string> auth_files();
/// Where a log-in is written to.
std::string auth_file_to_write();

/// Asks the files, and the helpers that they name, in this order. A file that is missing has nothing.
Result<std::optional<Credentials>> find_credentials(const std::vector<std::string>& files, const Reference& reference,
                                                    const HelperSettings& settings = {});

/// Sets (or takes away) what `file` has for `key`: 0600, at once, and not lost where two do it at the same time.
Result<void> change_auth_file(const std::string& file, const std::string& key,
                              const std::optional<Credentials>& credentials);

/// Nothing of `key` is left in `file` or with the helper that it names for it. Says whether there was something.
Result<bool> forget_credentials(const std::string& file, const std::string& key, const HelperSettings& settings = {});

} // namespace ctrd::registry
