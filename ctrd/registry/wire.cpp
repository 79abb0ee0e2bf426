#include "ctrd/registry/wire.hpp"

#include "ctrd/base/base64.hpp"
#include "ctrd/image/json.hpp"
#include "ctrd/registry/auth_files.hpp"

#include <array>
#include <cstdlib>

namespace ctrd::registry {
namespace {

using image::Json;
using oci::Reader;
constexpr std::size_t largest_text = 64U << 20;
constexpr std::array proxy_variables{"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                     "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

// --- what there is ------------------------------------------------------------------------------------------------

Result<std::optional<Credentials>> credentials_for(const Endpoint& endpoint, const Reference& asked,
                                                   const std::vector<std::string>& files) {
    auto found = TRY(find_credentials(files, endpoint.reference));
    // An image's own place under another name is known by the name that people log in to.
    if (!found && !endpoint.is_mirror && endpoint.reference.name() != asked.name())
        found = TRY(find_credentials(files, asked));
    return found;
}

Result<void> add_endpoint(FetchSettings& settings, const Endpoint& endpoint, const Reference& asked,
                          const SettingsSources& sources) {
    const auto files = sources.auth_file.empty() ? auth_files() : std::vector{sources.auth_file};
    if (auto found = TRY(credentials_for(endpoint, asked, files)))
        settings.credentials[endpoint.reference.name()] = *std::move(found);
    const std::string& host = endpoint.reference.registry;
    if (settings.certificates.contains(host))
        return {};
    CertificateTexts texts;
    if (sources.certificate_folder.empty())
        texts = TRY(read_certificates(host, certificate_folders()));
    else
        TRY_VOID(add_certificates(texts, sources.certificate_folder));
    settings.certificates[host] = std::move(texts);
    return {};
}

// --- as text ------------------------------------------------------------------------------------------------------

Json to_json(const RegistryEntry& entry) {
    Json mirrors = Json::array();
    for (const Mirror& mirror : entry.mirrors)
        mirrors.push_back({{"location", mirror.location},
                           {"insecure", mirror.insecure},
                           {"usable_for", static_cast<int>(mirror.usable_for)}});
    return {{"prefix", entry.prefix},
            {"location", entry.location},
            {"insecure", entry.insecure},
            {"blocked", entry.blocked},
            {"mirrors", std::move(mirrors)}};
}

Result<RegistryEntry> entry_from(const Reader& in) {
    RegistryEntry entry;
    entry.prefix = TRY(in.string("prefix"));
    entry.location = TRY(in.string("location"));
    entry.insecure = TRY(in.boolean("insecure"));
    entry.blocked = TRY(in.boolean("blocked"));
    const auto mirrors = TRY(in.objects("mirrors"));
    for (const Reader& one : mirrors) {
        Mirror mirror;
        mirror.location = TRY(one.string("location"));
        mirror.insecure = TRY(one.boolean("insecure"));
        mirror.usable_for = static_cast<Mirror::For>(TRY(one.required_integer<int>("usable_for")));
        entry.mirrors.push_back(std::move(mirror));
    }
    return entry;
}

Json to_json(const RegistriesConf& conf) {
    Json entries = Json::array();
    for (const RegistryEntry& entry : conf.registries)
        entries.push_back(to_json(entry));
    Json json{{"search", conf.search},
              {"mode", static_cast<int>(conf.mode)},
              {"entries", std::move(entries)},
              {"aliases", conf.aliases}};
    if (conf.insecure)
        json["insecure"] = *conf.insecure;
    return json;
}

Result<std::map<std::string, std::string>> texts_from(const Reader& in, const char* key) {
    std::map<std::string, std::string> texts;
    if (const Json* object = in.find(key))
        for (const auto& [name, value] : object->items())
            if (value.is_string())
                texts[name] = value.get<std::string>();
    return texts;
}

Result<RegistriesConf> conf_from(const Reader& in) {
    RegistriesConf conf;
    conf.search = TRY(in.strings("search"));
    conf.mode = static_cast<ShortNameMode>(TRY(in.required_integer<int>("mode")));
    conf.aliases = TRY(texts_from(in, "aliases"));
    const auto entries = TRY(in.objects("entries"));
    for (const Reader& entry : entries)
        conf.registries.push_back(TRY(entry_from(entry)));
    if (in.find("insecure") != nullptr)
        conf.insecure = TRY(in.boolean("insecure"));
    return conf;
}

Result<Credentials> credentials_from(const Reader& in) {
    const auto secret = [&](const char* key) -> Result<std::string> {
        const std::string text = TRY(in.string(key));
        return from_base64(text, key);
    };
    return Credentials{TRY(secret("username")), TRY(secret("password")), TRY(secret("identity_token"))};
}

} // namespace

Result<FetchSettings> gather_settings(const Reference& reference, const SettingsSources& sources, bool for_push) {
    FetchSettings settings;
    settings.reference = reference;
    settings.registries = TRY(load_registries(RegistriesPaths::from_environment()));
    if (sources.verify_tls)
        settings.registries.insecure = !*sources.verify_tls;
    if (for_push) {
        const Endpoint endpoint = TRY(settings.registries.push_endpoint(reference));
        TRY_VOID(add_endpoint(settings, endpoint, reference, sources));
    } else {
        const auto candidates = TRY(settings.registries.candidates(reference));
        for (const Reference& candidate : candidates) {
            // A blocked one is said when it is its turn.
            const auto endpoints = settings.registries.pull_endpoints(candidate).value_or(std::vector<Endpoint>{});
            for (const Endpoint& endpoint : endpoints)
                TRY_VOID(add_endpoint(settings, endpoint, candidate, sources));
        }
    }
    for (const char* name : proxy_variables)
        if (const char* value = std::getenv(name); value != nullptr && *value != '\0')
            settings.proxies[name] = value;
    return settings;
}

std::string to_text(const FetchSettings& settings) {
    Json credentials = Json::object();
    for (const auto& [name, one] : settings.credentials)
        credentials[name] = {{"username", to_base64(one.username)},
                             {"password", to_base64(one.password)},
                             {"identity_token", to_base64(one.identity_token)}};
    Json certificates = Json::object();
    for (const auto& [host, texts] : settings.certificates)
        certificates[host] = {
            {"authorities", texts.authorities}, {"certificate", texts.certificate}, {"key", texts.key}};
    const Json json{{"registry", settings.reference.registry},
                    {"repository", settings.reference.repository},
                    {"tag", settings.reference.tag},
                    {"digest", settings.reference.digest ? settings.reference.digest->text() : ""},
                    {"registries", to_json(settings.registries)},
                    {"credentials", std::move(credentials)},
                    {"certificates", std::move(certificates)},
                    {"proxies", settings.proxies},
                    {"manifest", to_base64(settings.manifest)},
                    {"manifest_type", settings.manifest_type}};
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<FetchSettings> settings_from(std::string_view text) {
    const Json json = TRY(image::parse_json(text, largest_text));
    const Reader in = TRY(Reader::root(json));
    FetchSettings settings;
    settings.reference = {TRY(in.string("registry")), TRY(in.string("repository")), TRY(in.string("tag"))};
    if (const std::string digest = TRY(in.string("digest")); !digest.empty())
        settings.reference.digest = TRY(image::Digest::parse(digest));
    if (const auto conf = TRY(in.object("registries")))
        settings.registries = TRY(conf_from(*conf));
    if (const auto all = TRY(in.object("credentials")))
        for (const auto& [name, one] : all->json().items())
            settings.credentials[name] = TRY(credentials_from(Reader{one, name}));
    if (const auto all = TRY(in.object("certificates")))
        for (const auto& [host, one] : all->json().items()) {
            const Reader texts{one, host};
            settings.certificates[host] = {TRY(texts.string("authorities")), TRY(texts.string("certificate")),
                                           TRY(texts.string("key"))};
        }
    settings.proxies = TRY(texts_from(in, "proxies"));
    const std::string manifest = TRY(in.string("manifest"));
    settings.manifest = TRY(from_base64(manifest, "manifest"));
    settings.manifest_type = TRY(in.string("manifest_type"));
    return settings;
}

} // namespace ctrd::registry
