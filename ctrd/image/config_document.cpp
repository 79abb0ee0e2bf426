// The image's config: documents.hpp.
#include "ctrd/image/documents.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/json.hpp"

namespace ctrd::image {
namespace {

using oci::Reader;

constexpr std::size_t max_entries = 4096;

/// Null and absent mean none, as everybody writes it.
Result<std::vector<std::string>> texts(const Reader& reader, const char* key) {
    std::vector<std::string> result = TRY(reader.strings(key));
    if (result.size() > max_entries)
        return fail(bad_input(reader.at(key) + " has more than " + std::to_string(max_entries) + " entries"));
    return result;
}

/// The names of an object whose values mean nothing: {"80/tcp": {}}.
Result<std::vector<std::string>> names(const Reader& reader, const char* key) {
    std::vector<std::string> result;
    if (const auto object = TRY(reader.object(key)))
        for (const auto& [name, value] : object->json().items())
            result.push_back(TRY(oci::checked_string(Json(name), object->place())));
    if (result.size() > max_entries)
        return fail(bad_input(reader.at(key) + " has more than " + std::to_string(max_entries) + " entries"));
    return result;
}

Result<std::vector<std::pair<std::string, std::string>>> environment(const Reader& reader) {
    std::vector<std::pair<std::string, std::string>> result;
    for (const std::string& entry : TRY(texts(reader, "Env"))) {
        const std::size_t equals = entry.find('=');
        // To some this means "take it from whoever starts the container": nobody's environment but the image's own.
        if (equals == std::string::npos || equals == 0)
            return fail(bad_input(reader.at("Env") + ": '" + printable(entry.substr(0, 200)) + "' is not NAME=VALUE"));
        result.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
    }
    return result;
}

Result<void> parse_process(const Reader& reader, Config& config) {
    config.entrypoint = TRY(texts(reader, "Entrypoint"));
    config.command = TRY(texts(reader, "Cmd"));
    config.environment = TRY(environment(reader));
    config.user = TRY(plain_string(reader, "User", 256));
    config.working_directory = TRY(plain_string(reader, "WorkingDir"));
    config.stop_signal = TRY(plain_string(reader, "StopSignal", 32));
    config.exposed_ports = TRY(names(reader, "ExposedPorts"));
    config.volumes = TRY(names(reader, "Volumes"));
    if (const auto labels = TRY(reader.object("Labels")))
        for (const auto& [name, value] : labels->json().items())
            config.labels.emplace(name, TRY(oci::checked_string(value, labels->at(name))));
    return {};
}

Result<std::vector<Digest>> parse_diff_ids(const Reader& reader) {
    std::vector<Digest> result;
    const auto rootfs = TRY(reader.object("rootfs"));
    if (!rootfs)
        return fail(bad_input("the config has no rootfs, so it is not an image's"));
    if (const std::string type = TRY(rootfs->string("type")); type != "layers")
        return fail(bad_input("rootfs.type is not 'layers'"));
    for (const std::string& text : TRY(texts(*rootfs, "diff_ids")))
        result.push_back(TRY(Digest::parse(text).context("rootfs.diff_ids")));
    return result;
}

Result<std::vector<Config::History>> parse_history(const Reader& reader) {
    std::vector<Config::History> result;
    for (const Reader& entry : TRY(reader.objects("history")))
        result.push_back({TRY(entry.string("created")), TRY(entry.string("created_by")), TRY(entry.string("comment")),
                          TRY(entry.boolean("empty_layer"))});
    return result;
}

} // namespace

Result<Config> parse_config(std::string_view text) {
    const Json json = TRY(parse_json(text, max_document_size));
    const Reader reader = TRY(Reader::root(json));
    Config config;
    config.platform = {TRY(plain_string(reader, "os", 64)), TRY(plain_string(reader, "architecture", 64)),
                       TRY(plain_string(reader, "variant", 64)), TRY(plain_string(reader, "os.version", 128))};
    config.created = TRY(plain_string(reader, "created", 64));
    config.author = TRY(plain_string(reader, "author"));
    config.diff_ids = TRY(parse_diff_ids(reader));
    config.history = TRY(parse_history(reader));
    if (const auto process = TRY(reader.object("config")))
        TRY_VOID(parse_process(*process, config));
    return config;
}

std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids) {
    std::vector<Digest> chain;
    chain.reserve(diff_ids.size());
    for (const Digest& diff_id : diff_ids)
        chain.push_back(chain.empty() ? diff_id : digest_of(chain.back().text() + " " + diff_id.text()));
    return chain;
}

} // namespace ctrd::image
