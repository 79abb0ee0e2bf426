#include "ctrd/image/worker_protocol.hpp"

#include <array>

namespace ctrd::imaging {
namespace {

using image::Progress;
using oci::Reader;

constexpr std::array<std::string_view, 4> state_words{"waiting", "working", "done", "shared"};

Json to_json(const std::vector<oci::IdMapping>& mappings) {
    Json array = Json::array();
    for (const auto& one : mappings)
        array.push_back({{"inside", one.container_id}, {"host", one.host_id}, {"size", one.size}});
    return array;
}

Result<std::vector<oci::IdMapping>> mappings_from(const Reader& in, const char* key) {
    std::vector<oci::IdMapping> mappings;
    const auto entries = TRY(in.objects(key));
    for (const Reader& one : entries)
        mappings.push_back({TRY(one.required_integer<std::uint32_t>("inside")),
                            TRY(one.required_integer<std::uint32_t>("host")),
                            TRY(one.required_integer<std::uint32_t>("size"))});
    return mappings;
}

} // namespace

Json to_json(const Progress& progress) {
    return {{"layer", progress.layer},
            {"layers", progress.layers},
            {"state", state_words[static_cast<std::size_t>(progress.state)]},
            {"digest", progress.digest},
            {"bytes", progress.bytes},
            {"total", progress.total}};
}

Result<Progress> progress_from(const Json& json) {
    const Reader reader = TRY(Reader::root(json));
    Progress progress;
    progress.layer = TRY(reader.required_integer<std::size_t>("layer"));
    progress.layers = TRY(reader.required_integer<std::size_t>("layers"));
    const std::string state = TRY(reader.string("state"));
    const auto* word = std::find(state_words.begin(), state_words.end(), state);
    if (word == state_words.end() || progress.layers > 4096 || progress.layer >= progress.layers)
        return fail(bad_input("the worker's report is not valid"));
    progress.state = static_cast<Progress::State>(word - state_words.begin());
    progress.digest = TRY(reader.string("digest"));
    progress.bytes = TRY(reader.required_integer<std::uint64_t>("bytes"));
    progress.total = TRY(reader.required_integer<std::uint64_t>("total"));
    return progress;
}

Json to_json(const Error& error) {
    return {{"code", static_cast<int>(error.code)}, {"message", error.message}, {"hint", error.hint}};
}

Error error_from(const Json& json) {
    const auto text = [&](const char* key) {
        const auto it = json.find(key);
        return it != json.end() && it->is_string() ? printable(it->get_ref<const std::string&>()) : std::string{};
    };
    const auto code = json.find("code");
    return {code != json.end() && code->is_number_integer() ? static_cast<std::errc>(code->get<int>())
                                                            : std::errc::io_error,
            text("message"), text("hint")};
}

Json to_json(const std::vector<image::Tag>& tags) {
    Json array = Json::array();
    for (const image::Tag& tag : tags)
        array.push_back({{"name", tag.name},
                         {"manifest", tag.manifest.text()},
                         {"index", tag.index ? tag.index->text() : ""},
                         {"source", tag.source},
                         {"trust", tag.trust}});
    return array;
}

Result<std::vector<image::Tag>> tags_from(const Json& json) {
    const Reader reader = TRY(Reader::root(json));
    std::vector<image::Tag> tags;
    const auto entries = TRY(reader.objects("tags"));
    for (const Reader& one : entries) {
        const std::string manifest = TRY(one.required_string("manifest"));
        image::Tag tag{.manifest = TRY(image::Digest::parse(manifest))};
        tag.name = TRY(image::plain_string(one, "name"));
        if (const std::string index = TRY(one.string("index")); !index.empty())
            tag.index = TRY(image::Digest::parse(index));
        tag.source = TRY(image::plain_string(one, "source"));
        tag.trust = TRY(image::plain_string(one, "trust"));
        tags.push_back(std::move(tag));
    }
    return tags;
}

Json to_json(const Request& request) {
    const image::LoadRequest& load = request.load;
    Json environment = Json::array();
    for (const auto& [name, value] : request.config.environment)
        environment.push_back(name + "=" + value);
    Json candidates = Json::array();
    for (const auto& one : request.candidates)
        candidates.push_back({{"reference", one.reference.text()},
                              {"requirements", image::to_json(one.requirements)},
                              {"scope", one.scope}});
    return {{"verb", request.verb},
            {"candidates", std::move(candidates)},
            {"name", load.name},
            {"wanted", load.wanted},
            {"os", load.platform.os},
            {"architecture", load.platform.architecture},
            {"variant", load.platform.variant},
            {"source", load.source},
            {"replace", load.replace},
            {"max_layer_size", load.options.limits.bytes},
            {"tags", to_json(request.tags)},
            {"docker", request.kind == image::ArchiveKind::docker},
            {"base", request.base ? request.base->text() : ""},
            {"author", request.author},
            {"message", request.message},
            {"room", request.room ? Json(*request.room) : Json()},
            {"layer", request.layer},
            {"quick", request.quick},
            {"workspace", request.workspace},
            {"verity", load.options.verity},
            {"erofs", load.options.form == image::LayerForm::erofs},
            {"uids", to_json(request.owners.uids)},
            {"gids", to_json(request.owners.gids)},
            {"config",
             {{"entrypoint", request.config.entrypoint},
              {"command", request.config.command},
              {"user", request.config.user},
              {"working_directory", request.config.working_directory},
              {"environment", std::move(environment)}}}};
}

Result<Request> request_from(const Json& json) {
    const Reader reader = TRY(Reader::root(json));
    Request request;
    request.verb = TRY(reader.required_string("verb"));
    image::LoadRequest& load = request.load;
    load.name = TRY(reader.string("name"));
    load.wanted = TRY(reader.string("wanted"));
    load.platform = {TRY(reader.string("os")), TRY(reader.string("architecture")), TRY(reader.string("variant"))};
    load.source = TRY(reader.string("source"));
    load.replace = TRY(reader.boolean("replace"));
    load.options.limits.bytes = TRY(reader.required_integer<std::uint64_t>("max_layer_size"));
    request.tags = TRY(tags_from(json));
    request.kind = TRY(reader.boolean("docker")) ? image::ArchiveKind::docker : image::ArchiveKind::oci;
    if (const std::string base = TRY(reader.string("base")); !base.empty())
        request.base = TRY(image::Digest::parse(base));
    request.author = TRY(reader.string("author"));
    request.message = TRY(reader.string("message"));
    request.room = TRY(reader.integer<std::uint64_t>("room"));
    if (request.room)
        load.options.limits.budget = std::make_shared<image::Budget>(*request.room);
    request.layer = TRY(reader.required_integer<std::uint32_t>("layer"));
    request.quick = TRY(reader.boolean("quick"));
    request.workspace = TRY(reader.string("workspace"));
    load.options.verity = TRY(reader.boolean("verity"));
    if (TRY(reader.boolean("erofs")))
        load.options.form = image::LayerForm::erofs;
    request.owners = {TRY(mappings_from(reader, "uids")), TRY(mappings_from(reader, "gids"))};
    const auto candidates = TRY(reader.objects("candidates"));
    for (const Reader& one : candidates) {
        const std::string reference = TRY(one.required_string("reference"));
        const image::Json* requirements = one.find("requirements");
        request.candidates.push_back({TRY(image::parse_reference(reference)),
                                      TRY(image::requirements_from(requirements ? *requirements : Json::array())),
                                      TRY(one.string("scope"))});
    }
    if (const auto config = TRY(reader.object("config"))) {
        request.config.entrypoint = TRY(config->strings("entrypoint"));
        request.config.command = TRY(config->strings("command"));
        request.config.user = TRY(config->string("user"));
        request.config.working_directory = TRY(config->string("working_directory"));
        const auto environment = TRY(config->strings("environment"));
        for (const std::string& entry : environment)
            request.config.environment.emplace_back(entry.substr(0, entry.find('=')),
                                                    entry.substr(entry.find('=') + 1));
    }
    request.config.platform = load.platform;
    return request;
}

} // namespace ctrd::imaging
