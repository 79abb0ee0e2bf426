#include "ctrd/image/commit.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/gzip.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/json.hpp"
#include "ctrd/image/pack.hpp"

#include <ctime>

namespace ctrd::image {
namespace {

struct NewLayer {
    UniqueFd file{};
    Descriptor blob;
    Digest diff_id;
};

/// Packed, hashed, compressed, hashed again.
Result<NewLayer> pack_changes(const Workspace& workspace, int changes, std::string_view type, const BudgetRef& budget) {
    UniqueFd file = TRY(workspace.new_file("changes"));
    Hasher tar{Algorithm::sha256};
    Hasher blob{Algorithm::sha256};
    std::uint64_t size = 0;
    Gzipper gzip{[&](std::string_view data) -> Result<void> {
        blob.update(data);
        size += data.size();
        TRY_VOID(charge(budget, data.size()));
        return write_all(file.get(), data);
    }};
    TarWriter writer{[&](std::string_view data) {
        tar.update(data);
        return gzip.feed(data);
    }};
    TRY_VOID(pack(changes, Packing::layer, writer));
    TRY_VOID(gzip.finish());
    return NewLayer{std::move(file), {std::string{type}, blob.finish(), size}, tar.finish()};
}

std::string now_text() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

/// All that the base says, and the new layer.
Result<std::string> config_with(std::string_view base, const Digest& diff_id, const CommitRequest& request) {
    Json json = TRY(parse_json(base, max_document_size));
    const std::string now = now_text();
    json["rootfs"]["diff_ids"].push_back(diff_id.text());
    json["created"] = now;
    if (!request.author.empty())
        json["author"] = request.author;
    Json step{{"created", now}, {"created_by", request.source}};
    if (!request.author.empty())
        step["author"] = request.author;
    if (!request.message.empty())
        step["comment"] = request.message;
    if (!json["history"].is_array())
        json["history"] = Json::array();
    json["history"].push_back(std::move(step));
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

} // namespace

Result<Tag> commit_changes(const Store& store, int changes, const CommitRequest& request) {
    const Workspace workspace = TRY(Workspace::make(store));
    const Image base = TRY(store.load(request.base));
    const bool docker = base.manifest.media_type == media::docker_manifest;
    const NewLayer layer = TRY(pack_changes(
        workspace, changes, docker ? media::docker_layer_gzip : media::oci_layer_gzip, request.options.limits.budget));
    const std::string base_config = TRY(store.read_document(base.manifest.config.digest));
    const std::string config = TRY(config_with(base_config, layer.diff_id, request));
    Manifest manifest{.media_type = base.manifest.media_type.empty() ? std::string{media::oci_manifest}
                                                                     : base.manifest.media_type,
                      .config = {base.manifest.config.media_type, digest_of(config), config.size()},
                      .layers = base.manifest.layers};
    manifest.layers.push_back(layer.blob);
    const std::string text = to_json(manifest);
    // As from anywhere else: hashed, unpacked and settled on the layers below, which are there.
    const auto open = [&](const Descriptor& blob, std::uint64_t) -> Result<LayerInput> {
        if (blob.digest != layer.blob.digest)
            return fail(bad_input("blob '" + blob.digest.text() + "' of the image below is not in the store",
                                  "load or pull the image again"));
        return LayerInput{TRY(dup(layer.file.get())), 0, layer.blob.size};
    };
    const Image image = TRY(ingest(store, workspace, digest_of(text), text, config, open, request.options));
    return name_image(store, workspace, image, {}, request.name, request.source, true);
}

} // namespace ctrd::image
