// Who we are to a registry, and where that is looked up: auth.json files, as Docker and Podman write them, and their
// credential helpers.
#pragma once

#include "ctrd/image/reference.hpp"

#include <functional>
#include <optional>
#include <vector>

namespace ctrd::registry {

using image::Reference;

struct Credentials {
    std::string username{};
    std::string password{};
    std::string identity_token{}; // instead of both: exchanged for tokens by OAuth2
    bool operator==(const Credentials&) const = default;
};

/// Nothing is no error: the registry is asked anonymously. It is asked with the image's name, since a file may have
/// others for a part of a registry.
using FindCredentials = std::function<Result<std::optional<Credentials>>(const Reference&)>;

/// The keys under which an image's credentials may be, the most exact first: "host/a/b", "host/a", "host".
std::vector<std::string> credential_keys(const Reference& reference);

/// A key of an auth.json as it was meant: Docker writes "https://host/v1/" or "https://index.host/v1/" where others
/// write "host".
std::string normal_key(std::string_view key);

/// What an auth.json says: the credentials, or whom to ask.
struct AuthAnswer {
    std::optional<Credentials> credentials{};
    std::string helper{}; // docker-credential-HELPER
    std::string helper_key{};
};
Result<AuthAnswer> find_in_auth_json(std::string_view text, const Reference& reference);

/// `text` (may be empty) with the credentials of `key` set or, for nothing, taken away; all else as it was.
Result<std::string> changed_auth_json(std::string_view text, const std::string& key,
                                      const std::optional<Credentials>& credentials);
/// Whether an auth.json has credentials of its own (not a helper's) for this very key.
Result<bool> has_auth(std::string_view text, const std::string& key);

} // namespace ctrd::registry
