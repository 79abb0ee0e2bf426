#include "ctrd/registry/credentials.hpp"

#include "ctrd/base/base64.hpp"
#include "ctrd/image/json.hpp"

#include <algorithm>

namespace ctrd::registry {
namespace {

using image::Json;
constexpr std::size_t largest_file = 1U << 20;
constexpr std::string_view token_user = "<token>"; // how helpers say that the secret is an identity token

Result<Json> parse(std::string_view text) {
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
        return Json::object(); // written by nobody yet
    return image::parse_json(text, largest_file);
}

/// The member of `object` whose key means `key`; an exact one before one in an old spelling.
const Json* find_key(const Json& object, const std::string& key) {
    if (!object.is_object())
        return nullptr;
    if (const auto it = object.find(key); it != object.end())
        return &*it;
    for (const auto& [other, value] : object.items())
        if (normal_key(other) == key)
            return &value;
    return nullptr;
}

Result<std::string> text_of(const Json& entry, const char* name, const std::string& key) {
    const auto it = entry.find(name);
    if (it == entry.end() || it->is_null())
        return std::string{};
    if (!it->is_string())
        return fail(bad_input("auths['" + printable(key) + "']." + name + " is not a string"));
    return it->get<std::string>();
}

Result<std::optional<Credentials>> read_entry(const Json& entry, const std::string& key) {
    if (!entry.is_object())
        return fail(bad_input("auths['" + printable(key) + "'] is not an object"));
    Credentials credentials;
    credentials.identity_token = TRY(text_of(entry, "identitytoken", key));
    const std::string auth = TRY(text_of(entry, "auth", key));
    if (auth.empty() && credentials.identity_token.empty())
        return std::optional<Credentials>{}; // a helper has it, and this says so
    const std::string both = TRY(from_base64(auth, "auths['" + printable(key) + "'].auth"));
    const std::size_t colon = both.find(':');
    if (!auth.empty() && colon == std::string::npos)
        return fail(bad_input("auths['" + printable(key) + "'].auth is not of the form USER:PASSWORD"));
    if (!auth.empty()) {
        credentials.username = both.substr(0, colon);
        credentials.password = both.substr(colon + 1);
        // Docker pads with NUL bytes what it has read from a terminal.
        while (credentials.password.ends_with('\0'))
            credentials.password.pop_back();
    }
    return std::optional{std::move(credentials)};
}

/// docker-credential-NAME for one of the keys.
Result<AuthAnswer> named_helper(const Json& document, const std::vector<std::string>& keys) {
    AuthAnswer answer;
    const auto helpers = document.find("credHelpers");
    for (const auto& key : keys) {
        const Json* name = helpers == document.end() ? nullptr : find_key(*helpers, key);
        if (name == nullptr)
            continue;
        if (!name->is_string())
            return fail(bad_input("credHelpers['" + printable(key) + "'] is not a string"));
        answer.helper = name->get<std::string>();
        answer.helper_key = key;
        return answer;
    }
    if (const auto store = document.find("credsStore"); store != document.end() && store->is_string()) {
        answer.helper = store->get<std::string>();
        answer.helper_key = keys.back();
    }
    return answer;
}

} // namespace

std::vector<std::string> credential_keys(const Reference& reference) {
    std::vector<std::string> keys;
    std::string name = reference.repository.empty() ? reference.registry : reference.name();
    for (;;) {
        keys.push_back(name);
        const std::size_t slash = name.rfind('/');
        if (slash == std::string::npos)
            return keys;
        name.resize(slash);
    }
}

std::string normal_key(std::string_view key) {
    bool was_url = false;
    for (const std::string_view scheme : {"https://", "http://"})
        if (key.starts_with(scheme)) {
            key.remove_prefix(scheme.size());
            was_url = true;
        }
    const bool was_old = key.ends_with("/v1/");
    if (was_url || was_old || key.ends_with("/v2/"))
        key = key.substr(0, key.find('/'));
    // As Docker has always written its own: "https://index.HOST/v1/" for the images that are named HOST/...
    if (was_old && key.starts_with("index."))
        key.remove_prefix(6);
    return std::string{key};
}

Result<AuthAnswer> find_in_auth_json(std::string_view text, const Reference& reference) {
    const Json document = TRY(parse(text));
    const auto keys = credential_keys(reference);
    AuthAnswer answer = TRY(named_helper(document, keys));
    const auto auths = document.find("auths");
    for (const auto& key : keys) {
        if (!answer.helper.empty() && answer.helper_key == key)
            return answer;
        const Json* entry = auths == document.end() ? nullptr : find_key(*auths, key);
        if (entry == nullptr)
            continue;
        if (auto credentials = TRY(read_entry(*entry, key)))
            return AuthAnswer{std::move(credentials), {}, {}};
    }
    return answer;
}

Result<bool> has_auth(std::string_view text, const std::string& key) {
    const Json document = TRY(parse(text));
    const auto auths = document.find("auths");
    return auths != document.end() && find_key(*auths, key) != nullptr;
}

Result<std::string> changed_auth_json(std::string_view text, const std::string& key,
                                      const std::optional<Credentials>& credentials) {
    Json document = TRY(parse(text));
    Json& auths = document["auths"];
    if (!auths.is_object() && !auths.is_null())
        return fail(bad_input("'auths' is not an object"));
    if (auths.is_null())
        auths = Json::object();
    // Every spelling of the key: an older one that stays would still be found by others.
    for (auto it = auths.begin(); it != auths.end();)
        it = normal_key(it.key()) == key ? auths.erase(it) : std::next(it);
    if (credentials) {
        Json& entry = auths[key];
        if (!credentials->identity_token.empty())
            entry["identitytoken"] = credentials->identity_token;
        entry["auth"] =
            to_base64(credentials->identity_token.empty() ? credentials->username + ":" + credentials->password
                                                          : std::string{token_user} + ":");
    }
    return document.dump(4, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace ctrd::registry
