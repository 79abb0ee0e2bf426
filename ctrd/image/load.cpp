#include "ctrd/image/load.hpp"

#include "ctrd/image/archive.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/json.hpp"
#include "ctrd/image/reference.hpp"

#include <algorithm>
#include <ctime>
#include <memory>

namespace ctrd::image {
namespace {

constexpr int deepest_index = 3;
constexpr const char* ref_name = "org.opencontainers.image.ref.name";
constexpr const char* full_name = "io.containerd.image.name";

std::string blob_member(const Digest& digest) {
    return "blobs/" + std::string{to_string(digest.algorithm())} + "/" + digest.hex();
}

std::string annotation(const Descriptor& descriptor, const char* key) {
    const auto found = descriptor.annotations.find(key);
    return found == descriptor.annotations.end() ? "" : found->second;
}

/// One image of an archive, before it is unpacked.
struct Candidate {
    Descriptor descriptor;
    std::string name{}; // as the archive calls it; may be only a tag
    std::string full{}; // with registry and path, where the archive says it
};

class Loader {
public:
    Loader(const Store& store, const Archive& archive, const Workspace& workspace, const LoadRequest& request)
        : store_{store}, archive_{archive}, workspace_{workspace}, request_{request} {}

    Result<std::vector<Tag>> load_layout() {
        TRY_VOID(check_layout_version());
        const std::string text = TRY(archive_.text("index.json"));
        const Document document = TRY(parse_document(text).context("index.json"));
        const auto* index = std::get_if<Index>(&document);
        if (index == nullptr)
            return fail(bad_input("index.json is not an index"));
        std::vector<Tag> tags;
        const auto all = TRY(chosen(*index));
        for (const Candidate& one : all) {
            const std::string name = TRY(name_of(one));
            const auto [image, through] = TRY(load_descriptor(one.descriptor, 0));
            tags.push_back(TRY(name_image(store_, workspace_, image, through, name, request_.source,
                                          request_.replace || !request_.name.empty())));
        }
        return tags;
    }

    Result<std::vector<Tag>> load_docker() {
        const std::string text = TRY(archive_.text("manifest.json"));
        // An array at the top: parse_json wants an object.
        const Json json = TRY(parse_json("{\"images\":" + text + "}", max_document_size).context("manifest.json"));
        const oci::Reader reader = TRY(oci::Reader::root(json));
        const auto images = TRY(reader.objects("images"));
        std::vector<Tag> tags;
        for (const oci::Reader& one : images) {
            const auto names = TRY(one.strings("RepoTags"));
            const bool wanted = request_.wanted.empty() || std::ranges::find(names, request_.wanted) != names.end();
            if (!wanted)
                continue;
            if (!request_.name.empty() && !tags.empty())
                return fail(several());
            const Image image = TRY(load_docker_image(one));
            const auto given = TRY(docker_names(names));
            for (const std::string& name : given)
                tags.push_back(TRY(name_image(store_, workspace_, image, {}, name, request_.source,
                                              request_.replace || !request_.name.empty())));
        }
        if (tags.empty())
            return fail(nothing_wanted());
        return tags;
    }

private:
    Error several() const {
        return bad_input("the archive holds several images", "say which by --image NAME-IN-THE-ARCHIVE");
    }
    Error nothing_wanted() const {
        return request_.wanted.empty() ? bad_input("the archive holds no image")
                                       : bad_input("the archive holds no image '" + printable(request_.wanted) + "'");
    }

    Result<void> check_layout_version() {
        const std::string text = TRY(archive_.text("oci-layout"));
        const Json json = TRY(parse_json(text, 4096).context("oci-layout"));
        const oci::Reader reader = TRY(oci::Reader::root(json));
        const std::string version = TRY(reader.string("imageLayoutVersion"));
        if (!version.starts_with("1."))
            return fail(bad_input("the layout's version is '" + printable(version) + "', not 1"));
        return {};
    }

    Result<std::vector<Candidate>> chosen(const Index& index) const {
        std::vector<Candidate> result;
        for (const Descriptor& one : index.manifests) {
            Candidate candidate{one, annotation(one, ref_name), annotation(one, full_name)};
            if (request_.wanted.empty() || candidate.name == request_.wanted || candidate.full == request_.wanted)
                result.push_back(std::move(candidate));
        }
        if (result.empty())
            return fail(nothing_wanted());
        const auto named = [](const Candidate& one) { return !one.name.empty() || !one.full.empty(); };
        // Entries of one image for several platforms, without names: the top is the image's own index.
        if (result.size() > 1 && std::ranges::none_of(result, named))
            return std::vector<Candidate>{{TRY(choose(index, request_.platform))}};
        if (result.size() > 1 && !request_.name.empty())
            return fail(several());
        return result;
    }

    Result<std::string> name_of(const Candidate& one) const {
        if (!request_.name.empty())
            return tag_name(request_.name);
        for (const std::string& name : {one.full, one.name})
            if (name.find_first_of(":/") != std::string::npos)
                return tag_name(name).context("the archive's name of the image");
        return fail(bad_input("the archive does not say the image's name" +
                                  (one.name.empty() ? "" : " (only '" + printable(one.name) + "')"),
                              "say it: ctrctl image load FILE NAME"));
    }

    Result<std::string> document(const Descriptor& descriptor) const {
        if (descriptor.size > max_document_size)
            return fail(bad_input("'" + descriptor.digest.text() + "' has " + std::to_string(descriptor.size) +
                                  " bytes, more than any such document"));
        std::string text = TRY(archive_.text(blob_member(descriptor.digest)));
        if (text.size() != descriptor.size || digest_of(text, descriptor.digest.algorithm()) != descriptor.digest)
            return fail(bad_input("'" + descriptor.digest.text() + "' in the archive is something else",
                                  "it was damaged or exchanged on its way"));
        return text;
    }

    struct Loaded {
        Image image;
        std::optional<Digest> through{};
    };
    Result<Loaded> load_descriptor(const Descriptor& descriptor, int depth) {
        if (depth > deepest_index)
            return fail(bad_input("indexes lead to indexes, more than " + std::to_string(deepest_index) + " deep"));
        const std::string text = TRY(document(descriptor));
        const Document parsed =
            TRY(parse_document(text, descriptor.media_type).context("'" + descriptor.digest.text() + "'"));
        if (const auto* index = std::get_if<Index>(&parsed)) {
            const Descriptor entry = TRY(choose(*index, request_.platform));
            Loaded loaded = TRY(load_descriptor(entry, depth + 1));
            loaded.through = descriptor.digest;
            return loaded;
        }
        const std::string config = TRY(document(std::get<Manifest>(parsed).config));
        const auto open = [this](const Descriptor& layer, std::uint64_t) {
            return archive_.member(blob_member(layer.digest));
        };
        return Loaded{TRY(ingest(store_, workspace_, descriptor.digest, text, config, open, request_.options))};
    }

    Result<Image> load_docker_image(const oci::Reader& one) {
        const std::string config_name = TRY(one.required_string("Config"));
        const std::string config_member = TRY(clean_entry_path(config_name));
        const std::string config = TRY(archive_.text(config_member));
        std::vector<LayerSource> layers;
        const auto names = TRY(one.strings("Layers"));
        for (const std::string& name : names) {
            const std::string member = TRY(clean_entry_path(name));
            layers.push_back({{}, [this, member](std::uint64_t) { return archive_.member(member); }});
        }
        return ingest(store_, workspace_, config, std::move(layers), request_.options);
    }

    Result<std::vector<std::string>> docker_names(const std::vector<std::string>& names) const {
        if (!request_.name.empty())
            return std::vector<std::string>{TRY(tag_name(request_.name))};
        if (names.empty())
            return fail(bad_input("the archive does not say the image's name", "say it: ctrctl image load FILE NAME"));
        std::vector<std::string> result;
        for (const std::string& name : names)
            if (request_.wanted.empty() || name == request_.wanted)
                result.push_back(TRY(tag_name(name).context("the archive's name of the image")));
        return result;
    }

    const Store& store_;
    const Archive& archive_;
    const Workspace& workspace_;
    const LoadRequest& request_;
};

} // namespace

Result<Tag> name_image(const Store& store, const Workspace& workspace, const Image& image,
                       const std::optional<Digest>& index, const std::string& name, const std::string& source,
                       bool replace, const std::string& trust) {
    const auto pinned = TRY(parse_reference(name)).digest;
    if (pinned && *pinned != image.descriptor.digest && pinned != index)
        return fail(bad_input("'" + printable(name) + "' can't be the name of this image, whose digest is '" +
                              image.descriptor.digest.text() + "'"));
    const auto there = TRY(store.find_tag(name));
    if (there && there->manifest != image.descriptor.digest && !replace)
        return fail(Error{std::errc::file_exists, "'" + printable(name) + "' is the name of another image already",
                          "to give it to this one, write it out: ctrctl image load FILE NAME; or say --replace"});
    Tag tag{.manifest = image.descriptor.digest};
    tag.name = name;
    tag.index = index;
    tag.source = source;
    tag.trust = trust;
    tag.since = static_cast<std::int64_t>(std::time(nullptr));
    TRY_VOID(store.set_tag(workspace, tag));
    return tag;
}

Result<std::vector<Tag>> load_archive(const Store& store, UniqueFd file, const LoadRequest& request) {
    const Workspace workspace = TRY(Workspace::make(store));
    const Archive archive = TRY(Archive::open(std::move(file), workspace, request.options.limits));
    Loader loader{store, archive, workspace, request};
    if (archive.has("oci-layout") && archive.has("index.json"))
        return loader.load_layout();
    if (archive.has("manifest.json"))
        return loader.load_docker();
    return fail(bad_input("it is neither an OCI layout nor an archive as 'docker save' writes it",
                          "for a tar of a whole file system there is 'ctrctl image import'"));
}

Result<Tag> import_rootfs(const Store& store, UniqueFd file, const Config& config, const LoadRequest& request) {
    const Workspace workspace = TRY(Workspace::make(store));
    const std::string name = TRY(tag_name(request.name));
    const auto shared = std::make_shared<UniqueFd>(std::move(file));
    LayerSource layer{{}, [shared](std::uint64_t) { return Result<LayerInput>{LayerInput{std::move(*shared)}}; }};
    const Image image = TRY(ingest(store, workspace, config, std::move(layer), request.options));
    return name_image(store, workspace, image, {}, name, request.source, true);
}

} // namespace ctrd::image
