#include "ctrd/image/containers_storage.hpp"

#include "ctrd/base/base64.hpp"
#include "ctrd/image/foreign_storage.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/json.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <map>

namespace ctrd::image {
namespace {

constexpr std::size_t largest_list = 16U << 20; // 10,000 layers; what a parser makes of it is many times that
constexpr std::size_t most_layers = 256;
constexpr const char* with_podman = "'podman save --format oci-archive NAME | ctrctl image load -' takes it, too";

struct StoredLayer {
    std::string parent{};
    std::string tar{}; // the digest of the tar that it was unpacked from
};

/// How each driver keeps a layer's files. What others do (btrfs, zfs) is not read.
struct Driver {
    const char* name;
    const char* before;
    const char* behind;
};
constexpr Driver drivers[]{{"overlay", "overlay/", "/diff"}, {"vfs", "vfs/dir/", ""}};

/// Storage of one driver, as long as it is locked.
class Storage {
public:
    Storage(const UniqueFd& root, const Driver& driver) : root_{root}, driver_{driver} {}

    Result<bool> is_there() const { return root_.has(path("-images/images.json")); }

    /// In the order in which they take them themselves.
    Result<void> lock() {
        for (const char* name : {"-layers/layers.lock", "-images/images.lock"}) {
            auto file = root_.open(path(name), O_RDONLY);
            if (!file && file.error().code == std::errc::no_such_file_or_directory)
                continue; // nobody has ever written to it
            locks_.push_back(TRY(std::move(file)));
            struct flock lock {};
            lock.l_type = F_RDLCK;
            while (::fcntl(locks_.back().get(), F_OFD_SETLKW, &lock) < 0)
                if (errno != EINTR)
                    return fail(os_error(errno, "cannot lock the storage"));
        }
        return {};
    }

    Result<std::vector<ForeignImage>> images() const {
        std::vector<ForeignImage> result;
        const Json json = TRY(list("-images/images.json"));
        const oci::Reader in = TRY(oci::Reader::root(json));
        const auto entries = TRY(in.objects("list"));
        for (const oci::Reader& one : entries)
            result.push_back({TRY(id_in(one, "id")), TRY(one.string("layer")), TRY(one.strings("names"))});
        return result;
    }

    /// From the lowest to `top`.
    Result<std::vector<std::string>> layers_below(const std::string& top, std::size_t count) {
        const Json json = TRY(list("-layers/layers.json"));
        const oci::Reader in = TRY(oci::Reader::root(json));
        const auto entries = TRY(in.objects("list"));
        for (const oci::Reader& one : entries)
            layers_[TRY(id_in(one, "id"))] = {TRY(one.string("parent")), TRY(one.string("diff-digest"))};
        std::vector<std::string> chain;
        for (std::string id = top; !id.empty(); id = layers_.at(id).parent) {
            if (!layers_.contains(id) || chain.size() >= most_layers)
                return fail(bad_input("the storage does not have the image's layers", with_podman));
            chain.insert(chain.begin(), id);
        }
        if (chain.size() != count)
            return fail(bad_input("the storage has " + std::to_string(chain.size()) +
                                      " layers of the image, which has " + std::to_string(count),
                                  with_podman));
        return chain;
    }

    /// One of an image's documents: the file's name is the key, coded where it is not a plain one.
    Result<std::string> document(const ForeignImage& image, const std::string& key) const {
        const bool plain = key.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos;
        return root_.text(path("-images/") + image.id + "/" + (plain ? key : "=" + to_base64(key)), max_document_size);
    }

    /// The tar that it was unpacked from.
    Result<LayerInput> open_layer(const std::string& id) const {
        auto list = root_.open(path("-layers/") + id + ".tar-split.gz", O_RDONLY);
        if (!list)
            return fail(Error{list.error().code,
                              "the storage does not say how layer '" + id + "' was packed: " + list.error().message,
                              with_podman});
        UniqueFd tree = TRY(root_.open(driver_.before + id + driver_.behind, O_RDONLY | O_DIRECTORY));
        return stream_layer(std::move(*list), std::move(tree));
    }

private:
    [[nodiscard]] std::string path(const char* rest) const { return std::string{driver_.name} + rest; }

    Result<Json> list(const char* name) const {
        const std::string text = TRY(root_.text(path(name), largest_list));
        // An array at the top: parse_json wants an object.
        return parse_json("{\"list\":" + text + "}", largest_list + 16).context(path(name));
    }

    static Result<std::string> id_in(const oci::Reader& in, const char* key) {
        std::string id = TRY(in.required_string(key));
        return is_foreign_id(id) ? Result<std::string>{std::move(id)}
                                 : fail(bad_input("the storage has an id that is none"));
    }

    ForeignFolder root_;
    const Driver& driver_;
    std::vector<UniqueFd> locks_{};
    std::map<std::string, StoredLayer> layers_{};
};

Result<Tag> take(const Store& store, Storage& storage, const FoundForeign& found, const LoadRequest& request) {
    const std::string name = TRY(name_for(found, request));
    const std::string text = TRY(storage.document(found.image, "manifest"));
    const Document document = TRY(parse_document(text).context("the image's manifest"));
    const auto* manifest = std::get_if<Manifest>(&document);
    if (manifest == nullptr)
        return fail(bad_input("'" + printable(name) + "' is a list of images there", "take one of them by its name"));
    const std::string config_text = TRY(storage.document(found.image, manifest->config.digest.text()));
    // It is what all else is held against, and the layers' digests in it would let a changed one through.
    if (digest_of(config_text, manifest->config.digest.algorithm()) != manifest->config.digest)
        return fail(bad_input("the image's config is not '" + manifest->config.digest.text() + "'",
                              "the storage was changed or is damaged: have Podman pull the image anew"));
    const Config config = TRY(parse_config(config_text).context("the image's config"));
    const auto layers = TRY(storage.layers_below(found.image.layer, config.diff_ids.size()));
    const Workspace workspace = TRY(Workspace::make(store));
    // The storage has tars that are not compressed. Where these are what the manifest names, the image is that very
    // one.
    const bool same = std::ranges::equal(manifest->layers, config.diff_ids, {}, &Descriptor::digest);
    const auto load = [&]() -> Result<Image> {
        if (same) {
            std::size_t next = 0;
            std::map<std::string, std::string> ids;
            for (const Descriptor& layer : manifest->layers)
                ids[layer.digest.text()] = layers[next++];
            return ingest(
                store, workspace, digest_of(text), text, config_text,
                [&](const Descriptor& layer, std::uint64_t) { return storage.open_layer(ids.at(layer.digest.text())); },
                request.options);
        }
        std::vector<LayerSource> sources;
        for (const std::string& id : layers)
            sources.push_back({{}, [&storage, id](std::uint64_t) { return storage.open_layer(id); }});
        return ingest(store, workspace, config_text, std::move(sources), request.options);
    };
    const Image image = TRY(load());
    return name_image(store, workspace, image, {}, name, request.source, true);
}

} // namespace

Result<Tag> load_from_containers_storage(const Store& store, UniqueFd root, const LoadRequest& request) {
    bool known = false;
    for (const Driver& driver : drivers) {
        Storage storage{root, driver};
        if (!TRY(storage.is_there()))
            continue;
        known = true;
        TRY_VOID(storage.lock());
        const auto images = TRY(storage.images());
        if (const auto found = TRY(find_foreign(images, request.wanted)))
            return take(store, storage, *found, request);
    }
    if (!known)
        return fail(Error{std::errc::no_such_file_or_directory, "there are no images of the drivers overlay and vfs",
                          with_podman});
    return fail(Error{std::errc::no_such_file_or_directory,
                      "no image there is called '" + printable(request.wanted) + "'", "'podman images' lists them"});
}

} // namespace ctrd::image
