#include "ctrd/image/save.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/chunk_queue.hpp"
#include "ctrd/image/decompress.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/json.hpp"
#include "ctrd/image/reference.hpp"
#include "ctrd/image/tar_writer.hpp"

#include <unistd.h>

#include <cerrno>
#include <map>
#include <set>

namespace ctrd::image {
namespace {

std::string blob_member(const Digest& digest) {
    return "blobs/" + std::string{to_string(digest.algorithm())} + "/" + digest.hex();
}

/// All that the file holds, piece by piece.
Result<void> read_through(int file, const Decompressor::Sink& sink) {
    std::string buffer(chunk_size, '\0');
    off_t offset = 0;
    for (;;) {
        const ssize_t n = ::pread(file, buffer.data(), buffer.size(), offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(os_error(errno, "cannot read a blob of the image store"));
        if (n == 0)
            return {};
        offset += n;
        TRY_VOID(sink({buffer.data(), static_cast<std::size_t>(n)}));
    }
}

Error damaged(const Digest& digest) {
    return bad_input("blob '" + digest.text() + "' in the image store is damaged",
                     "'ctrctl image verify' says what else is; load or pull the image again");
}

class Saver {
public:
    Saver(const Store& store, int output)
        : store_{store}, tar_{[output](std::string_view data) { return write_all(output, data); }} {}

    Result<void> oci(const std::vector<Tag>& tags) {
        TRY_VOID(add_text(tar_, "oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
        Index index{.media_type = std::string{media::oci_index}};
        for (const Tag& tag : tags) {
            Image image = TRY(store_.load(tag.manifest));
            const std::string manifest = TRY(store_.read_document(tag.manifest));
            Descriptor entry{.media_type = image.manifest.media_type.empty() ? std::string{media::oci_manifest}
                                                                             : image.manifest.media_type,
                             .digest = tag.manifest,
                             .size = manifest.size(),
                             .platform = image.config.platform};
            // Podman and skopeo look for the one, containerd and Docker for the other.
            if (!tag.name.empty())
                entry.annotations = {{"org.opencontainers.image.ref.name", tag.name},
                                     {"io.containerd.image.name", tag.name}};
            index.manifests.push_back(std::move(entry));
            TRY_VOID(document(tag.manifest, manifest));
            const std::string config = TRY(store_.read_document(image.manifest.config.digest));
            TRY_VOID(document(image.manifest.config.digest, config));
            for (const Descriptor& layer : image.manifest.layers)
                TRY_VOID(blob(layer));
        }
        TRY_VOID(add_text(tar_, "index.json", to_json(index)));
        return tar_.finish();
    }

    Result<void> docker(const std::vector<Tag>& tags) {
        std::map<Digest, Json> images; // one entry for each image, whatever it is called
        for (const Tag& tag : tags) {
            if (!images.contains(tag.manifest))
                images.emplace(tag.manifest, TRY(docker_image(tag)));
            // A digest is no name there.
            if (!tag.name.empty() && !TRY(parse_reference(tag.name)).digest)
                images.at(tag.manifest)["RepoTags"].push_back(tag.name);
        }
        Json array = Json::array();
        for (auto& [digest, entry] : images)
            array.push_back(std::move(entry));
        TRY_VOID(add_text(tar_, "manifest.json", array.dump(-1, ' ', false, Json::error_handler_t::replace)));
        return tar_.finish();
    }

private:
    Result<void> document(const Digest& digest, const std::string& text) {
        return added_.insert(blob_member(digest)).second ? add_text(tar_, blob_member(digest), text) : Result<void>{};
    }

    Result<void> blob(const Descriptor& layer) {
        if (!added_.insert(blob_member(layer.digest)).second)
            return {};
        const UniqueFd file = TRY(store_.open_blob(layer.digest));
        TarEntry entry{.path = blob_member(layer.digest), .mode = 0644, .size = layer.size};
        TRY_VOID(tar_.add(entry));
        Hasher hasher{layer.digest.algorithm()};
        TRY_VOID(read_through(file.get(), [&](std::string_view data) -> Result<void> {
            if (data.size() > tar_.missing())
                return fail(damaged(layer.digest));
            hasher.update(data);
            return tar_.data(data);
        }));
        return hasher.finish() == layer.digest && tar_.missing() == 0 ? Result<void>{} : fail(damaged(layer.digest));
    }

    Result<Json> docker_image(const Tag& tag) {
        const Image image = TRY(store_.load(tag.manifest));
        const std::string config = image.manifest.config.digest.hex() + ".json";
        const std::string text = TRY(store_.read_document(image.manifest.config.digest));
        if (added_.insert(config).second)
            TRY_VOID(add_text(tar_, config, text));
        Json entry{{"Config", config}, {"RepoTags", Json::array()}, {"Layers", Json::array()}};
        for (std::size_t i = 0; i < image.manifest.layers.size(); ++i) {
            TRY_VOID(plain_layer(image.manifest.layers[i].digest, image.config.diff_ids[i])
                         .context("layer '" + image.manifest.layers[i].digest.text() + "'"));
            entry["Layers"].push_back(image.config.diff_ids[i].hex() + ".tar");
        }
        return entry;
    }

    /// Not compressed, as Docker has them. A tar's header says a length, so it is inflated twice: to be checked and
    /// counted, then to be written.
    Result<void> plain_layer(const Digest& blob, const Digest& diff_id) {
        const std::string name = diff_id.hex() + ".tar";
        if (!added_.insert(name).second)
            return {};
        const UniqueFd file = TRY(store_.open_blob(blob));
        Hasher hasher{diff_id.algorithm()};
        std::uint64_t size = 0;
        TRY_VOID(inflate(file.get(), [&](std::string_view data) -> Result<void> {
            hasher.update(data);
            size += data.size();
            return {};
        }));
        if (hasher.finish() != diff_id)
            return fail(damaged(blob));
        TRY_VOID(tar_.add({.path = name, .mode = 0644, .size = size}));
        return inflate(file.get(), [&](std::string_view data) { return tar_.data(data); });
    }

    static Result<void> inflate(int file, const Decompressor::Sink& sink) {
        std::unique_ptr<Decompressor> decompressor;
        const auto feed = [&](std::string_view data) -> Result<void> {
            if (!decompressor)
                decompressor = Decompressor::make(TRY(detect_compression(data)));
            return decompressor->feed(data, sink);
        };
        TRY_VOID(read_through(file, feed));
        return decompressor ? decompressor->finish() : fail(bad_input("it is empty"));
    }

    const Store& store_;
    TarWriter tar_;
    std::set<std::string> added_{};
};

} // namespace

Result<void> save_images(const Store& store, const std::vector<Tag>& tags, ArchiveKind kind, int output) {
    Saver saver{store, output};
    return kind == ArchiveKind::oci ? saver.oci(tags) : saver.docker(tags);
}

} // namespace ctrd::image
