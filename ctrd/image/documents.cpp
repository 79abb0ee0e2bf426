#include "ctrd/image/documents.hpp"

#include "ctrd/image/json.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <array>

namespace ctrd::image {
namespace {

using oci::Reader;

constexpr std::size_t max_layers = 256; // overlayfs stacks up to 500
constexpr std::size_t max_entries = 4096;
constexpr std::uint64_t max_blob_size = std::uint64_t{1} << 40;

Result<Annotations> parse_annotations(const Reader& reader, const char* key) {
    Annotations result;
    const auto object = TRY(reader.object(key));
    if (!object)
        return result;
    if (object->json().size() > max_entries)
        return fail(bad_input(object->place() + " has more than " + std::to_string(max_entries) + " entries"));
    for (const auto& [name, value] : object->json().items())
        result.emplace(name, TRY(oci::checked_string(value, object->at(name))));
    return result;
}

Result<Platform> parse_platform(const Reader& reader) {
    return Platform{TRY(plain_string(reader, "os", 64)), TRY(plain_string(reader, "architecture", 64)),
                    TRY(plain_string(reader, "variant", 64)), TRY(plain_string(reader, "os.version", 128))};
}

Result<Descriptor> parse_descriptor(const Reader& reader) {
    const std::string text = TRY(reader.required_string("digest"));
    Descriptor descriptor{.digest = TRY(Digest::parse(text).context(reader.at("digest")))};
    descriptor.media_type = TRY(plain_string(reader, "mediaType", 256));
    descriptor.size = TRY(reader.required_integer<std::uint64_t>("size"));
    if (descriptor.size > max_blob_size)
        return fail(bad_input(reader.at("size") + " is larger than any blob: " + std::to_string(descriptor.size)));
    if (const auto platform = TRY(reader.object("platform")))
        descriptor.platform = TRY(parse_platform(*platform));
    descriptor.annotations = TRY(parse_annotations(reader, "annotations"));
    descriptor.artifact_type = TRY(plain_string(reader, "artifactType", 256));
    return descriptor;
}

Result<std::optional<Descriptor>> parse_subject(const Reader& reader) {
    const auto subject = TRY(reader.object("subject"));
    if (!subject)
        return std::optional<Descriptor>{};
    return std::optional<Descriptor>{TRY(parse_descriptor(*subject))};
}

Result<std::vector<Descriptor>> parse_descriptors(const Reader& reader, const char* key, std::size_t most) {
    const auto objects = TRY(reader.objects(key));
    if (objects.size() > most)
        return fail(bad_input(std::string{key} + " has more than " + std::to_string(most) + " entries"));
    std::vector<Descriptor> result;
    result.reserve(objects.size());
    for (const Reader& object : objects)
        result.push_back(TRY(parse_descriptor(object)));
    return result;
}

Result<Document> parse_manifest(const Reader& reader, std::string media_type) {
    const auto config = TRY(reader.object("config"));
    if (!config)
        return fail(bad_input("the manifest has no config"));
    Descriptor of_config = TRY(parse_descriptor(*config));
    Manifest manifest{.media_type = std::move(media_type), .config = std::move(of_config)};
    manifest.layers = TRY(parse_descriptors(reader, "layers", max_layers));
    manifest.subject = TRY(parse_subject(reader));
    manifest.artifact_type = TRY(plain_string(reader, "artifactType", 256));
    manifest.annotations = TRY(parse_annotations(reader, "annotations"));
    return Document{std::move(manifest)};
}

Result<Document> parse_index(const Reader& reader, std::string media_type) {
    Index index{.media_type = std::move(media_type)};
    index.manifests = TRY(parse_descriptors(reader, "manifests", max_entries));
    index.subject = TRY(parse_subject(reader));
    index.artifact_type = TRY(plain_string(reader, "artifactType", 256));
    index.annotations = TRY(parse_annotations(reader, "annotations"));
    return Document{std::move(index)};
}

bool is_index_type(std::string_view type) { return type == media::oci_index || type == media::docker_index; }
bool is_manifest_type(std::string_view type) { return type == media::oci_manifest || type == media::docker_manifest; }

/// How well an entry fits: 0 not at all.
int fitness(const Descriptor& entry, const Platform& wanted) {
    if (!is_manifest_type(entry.media_type) && !is_index_type(entry.media_type) && !entry.media_type.empty())
        return 0;
    if (!entry.platform)
        return 1; // an image that does not say where it runs
    const Platform& is = *entry.platform;
    if (is.os != wanted.os || is.architecture != wanted.architecture)
        return 0;
    if (is.variant == wanted.variant)
        return 4;
    // arm/v7 runs what was built for v6 and v5; a variant of another architecture has no such order.
    if (wanted.architecture == "arm" && !is.variant.empty() && is.variant < wanted.variant)
        return 3;
    // What each of these is without a variant.
    const std::string_view plain = wanted.architecture == "arm64" ? "v8" : wanted.architecture == "amd64" ? "v1" : "";
    const bool is_plain = !plain.empty() && (is.variant == plain || (is.variant.empty() && wanted.variant == plain));
    return is.variant.empty() || is_plain || (wanted.variant == plain && is.variant == plain) ? 2 : 0;
}

Json descriptor_json(const Descriptor& descriptor) {
    Json json{{"mediaType", descriptor.media_type}, {"digest", descriptor.digest.text()}, {"size", descriptor.size}};
    if (descriptor.platform) {
        Json platform{{"os", descriptor.platform->os}, {"architecture", descriptor.platform->architecture}};
        if (!descriptor.platform->variant.empty())
            platform["variant"] = descriptor.platform->variant;
        json["platform"] = std::move(platform);
    }
    if (!descriptor.annotations.empty())
        json["annotations"] = descriptor.annotations;
    if (!descriptor.artifact_type.empty())
        json["artifactType"] = descriptor.artifact_type;
    return json;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

} // namespace

std::string Platform::text() const { return os + "/" + architecture + (variant.empty() ? "" : "/" + variant); }

Platform host_platform() {
    utsname host{};
    ::uname(&host);
    struct Known {
        std::string_view machine, architecture, variant;
    };
    constexpr std::array known{
        Known{"x86_64", "amd64", ""},    Known{"aarch64", "arm64", ""}, Known{"armv7l", "arm", "v7"},
        Known{"armv6l", "arm", "v6"},    Known{"i686", "386", ""},      Known{"ppc64le", "ppc64le", ""},
        Known{"riscv64", "riscv64", ""}, Known{"s390x", "s390x", ""},   Known{"mips64", "mips64le", ""}};
    const auto* found = std::ranges::find(known, std::string_view{host.machine}, &Known::machine);
    if (found == known.end())
        return {"linux", host.machine};
    return {"linux", std::string{found->architecture}, std::string{found->variant}};
}

bool is_tar_type(std::string_view media_type) noexcept {
    bool is_tar = media_type.empty();
    while (!media_type.empty()) {
        const auto word = media_type.substr(0, media_type.find_first_of(".+/;"));
        media_type.remove_prefix(std::min(word.size() + 1, media_type.size()));
        if (word == "encrypted")
            return false;
        is_tar = is_tar || word == "tar";
    }
    return is_tar;
}

Result<Document> parse_document(std::string_view text, std::string_view media_type) {
    const Json json = TRY(parse_json(text, max_document_size));
    const Reader reader = TRY(Reader::root(json));
    if (TRY(reader.required_integer<int>("schemaVersion")) != 2)
        return fail(Error{std::errc::not_supported, "schemaVersion is not 2",
                          "the image has a format of before 2016: push or save it again with a newer program"});
    std::string own = TRY(plain_string(reader, "mediaType", 256));
    if (!own.empty() && !media_type.empty() && own != media_type)
        return fail(bad_input("the document says that it is '" + own + "', but it was announced as '" +
                              printable(media_type) + "'"));
    if (own.empty())
        own = media_type;
    const bool has_manifests = json.contains("manifests");
    const bool has_layers = json.contains("layers") || json.contains("config") || json.contains("fsLayers");
    if (has_manifests && has_layers)
        return fail(bad_input("the document is a manifest and an index at once",
                              "its digest would name two images; it may have been made to deceive"));
    if (!own.empty() && !is_index_type(own) && !is_manifest_type(own))
        return fail(Error{std::errc::not_supported, "'" + own + "' is not the type of a manifest or an index"});
    if (own.empty() ? has_manifests : is_index_type(own))
        return parse_index(reader, own.empty() ? std::string{media::oci_index} : own);
    return parse_manifest(reader, own.empty() ? std::string{media::oci_manifest} : own);
}

Result<Descriptor> choose(const Index& index, const Platform& wanted) {
    const Descriptor* best = nullptr;
    int best_fitness = 0;
    std::string there;
    for (const Descriptor& entry : index.manifests) {
        if (entry.platform && there.size() < 400)
            there += (there.empty() ? "" : ", ") + printable(entry.platform->text());
        if (const int fits = fitness(entry, wanted); fits > best_fitness) {
            best = &entry;
            best_fitness = fits;
        }
    }
    if (best == nullptr)
        return fail(Error{std::errc::no_such_file_or_directory, "the index has no image for " + wanted.text(),
                          there.empty() ? "" : "it has " + there});
    return *best;
}

std::string to_json(const Descriptor& descriptor) { return dump(descriptor_json(descriptor)); }

std::string to_json(const Manifest& manifest) {
    Json json{{"schemaVersion", 2},
              {"mediaType", manifest.media_type},
              {"config", descriptor_json(manifest.config)},
              {"layers", Json::array()}};
    for (const Descriptor& layer : manifest.layers)
        json["layers"].push_back(descriptor_json(layer));
    if (manifest.subject)
        json["subject"] = descriptor_json(*manifest.subject);
    if (!manifest.artifact_type.empty())
        json["artifactType"] = manifest.artifact_type;
    if (!manifest.annotations.empty())
        json["annotations"] = manifest.annotations;
    return dump(json);
}

std::string to_json(const Index& index) {
    Json json{{"schemaVersion", 2}, {"mediaType", index.media_type}, {"manifests", Json::array()}};
    for (const Descriptor& entry : index.manifests)
        json["manifests"].push_back(descriptor_json(entry));
    if (index.subject)
        json["subject"] = descriptor_json(*index.subject);
    if (!index.annotations.empty())
        json["annotations"] = index.annotations;
    return dump(json);
}

} // namespace ctrd::image
