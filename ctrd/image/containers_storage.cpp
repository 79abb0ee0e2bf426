#include "ctrd/image/containers_storage.hpp"

#include "ctrd/base/base64.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/json.hpp"
#include "ctrd/image/tar_split.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <future>
#include <map>
#include <thread>

namespace ctrd::image {
namespace {

constexpr std::size_t largest_list = 16U << 20; // 10,000 layers; what a parser makes of it is many times that
constexpr std::size_t most_layers = 256;
constexpr std::size_t shortest_id = 6;
constexpr const char* with_podman = "'podman save --format oci-archive NAME | ctrctl image load -' takes it, too";

struct StoredLayer {
    std::string parent{};
    std::string tar{}; // the digest of the tar that it was unpacked from
};

struct StoredImage {
    std::string id{};
    std::string layer{}; // the uppermost
    std::vector<std::string> names{};
};

/// How each driver keeps a layer's files. What others do (btrfs, zfs) is not read.
struct Driver {
    const char* name;
    const char* before;
    const char* behind;
};
constexpr Driver drivers[]{{"overlay", "overlay/", "/diff"}, {"vfs", "vfs/dir/", ""}};

bool is_id(std::string_view text) {
    return !text.empty() && text.size() <= 128 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// What `wanted` means among names like "host/path:tag": itself, or the end of one.
bool is_called(const std::string& name, const std::string& wanted) {
    return name == wanted || name.ends_with("/" + wanted);
}

/// Storage of one driver, as long as it is locked.
class Storage {
public:
    Storage(const UniqueFd& root, const Driver& driver) : root_{root.get()}, driver_{driver} {}

    Result<bool> is_there() const {
        const auto images = open(path("-images/images.json"), O_RDONLY);
        if (!images && images.error().code != std::errc::no_such_file_or_directory)
            return fail(images.error());
        return images.has_value();
    }

    /// In the order in which they take them themselves.
    Result<void> lock() {
        for (const char* name : {"-layers/layers.lock", "-images/images.lock"}) {
            auto file = open(path(name), O_RDONLY);
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

    Result<std::vector<StoredImage>> images() const {
        std::vector<StoredImage> result;
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
    Result<std::string> document(const StoredImage& image, const std::string& key) const {
        const bool plain = key.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos;
        return text(path("-images/") + image.id + "/" + (plain ? key : "=" + to_base64(key)), max_document_size);
    }

    /// The tar that it was unpacked from.
    Result<LayerInput> open_layer(const std::string& id) const {
        auto list = open(path("-layers/") + id + ".tar-split.gz", O_RDONLY);
        if (!list)
            return fail(Error{list.error().code,
                              "the storage does not say how layer '" + id + "' was packed: " + list.error().message,
                              with_podman});
        UniqueFd tree = TRY(open(driver_.before + id + driver_.behind, O_RDONLY | O_DIRECTORY));
        return stream(std::move(*list), std::move(tree));
    }

private:
    [[nodiscard]] std::string path(const char* rest) const { return std::string{driver_.name} + rest; }

    /// Whoever may write there may have made links of these: they lead nowhere else.
    Result<UniqueFd> open(const std::string& path, int flags) const {
        UniqueFd fd{rooted::open_raw(root_, path.c_str(),
                                     static_cast<std::uint64_t>(flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY))};
        if (!fd)
            return fail(os_error(errno, "cannot open '" + path + "' of the storage"));
        return fd;
    }

    Result<std::string> text(const std::string& path, std::size_t limit) const {
        const UniqueFd file = TRY(open(path, O_RDONLY));
        return read_all(file.get(), limit).context("'" + path + "' of the storage");
    }

    Result<Json> list(const char* name) const {
        const std::string text = TRY(this->text(path(name), largest_list));
        // An array at the top: parse_json wants an object.
        return parse_json("{\"list\":" + text + "}", largest_list + 16).context(path(name));
    }

    static Result<std::string> id_in(const oci::Reader& in, const char* key) {
        std::string id = TRY(in.required_string(key));
        return is_id(id) ? Result<std::string>{std::move(id)} : fail(bad_input("the storage has an id that is none"));
    }

    /// A thread writes it, and has all that it needs: where nobody reads to the end it ends by itself.
    static Result<LayerInput> stream(UniqueFd list, UniqueFd tree) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) < 0)
            return fail(os_error(errno, "cannot make a pipe"));
        LayerInput input{UniqueFd{ends[0]}};
        std::packaged_task<Result<void>()> task{[list = std::move(list), tree = std::move(tree),
                                                 pipe = UniqueFd{ends[1]}]() mutable -> Result<void> {
            auto done =
                rebuild_tar(list.get(), tree.get(), [&](std::string_view data) { return write_all(pipe.get(), data); });
            pipe = UniqueFd{}; // the reader waits for the end before it asks how it went
            return done;
        }};
        std::shared_future<Result<void>> done = task.get_future().share();
        std::thread{std::move(task)}.detach();
        input.ended = [done] { return done.get(); };
        return input;
    }

    int root_;
    const Driver& driver_;
    std::vector<UniqueFd> locks_{};
    std::map<std::string, StoredLayer> layers_{};
};

struct Found {
    StoredImage image{};
    std::string name{}; // "": it was looked for by its id
};

/// `wanted` as a name, with 'latest' where it has no tag; then as the beginning of an id.
Result<std::optional<Found>> find(const std::vector<StoredImage>& images, const std::string& wanted) {
    std::vector<Found> exact, ends, ids;
    for (const StoredImage& image : images) {
        for (const std::string& name : image.names)
            for (const std::string& one : {wanted, wanted + ":latest"}) {
                if (name == one)
                    exact.push_back({image, name});
                else if (is_called(name, one))
                    ends.push_back({image, name});
            }
        if (wanted.size() >= shortest_id && is_id(wanted) && image.id.starts_with(wanted))
            ids.push_back({image, {}});
    }
    const auto called = [](const Found& one) {
        return "'" + printable(one.name.empty() ? one.image.id : one.name) + "'";
    };
    for (const auto* found : {&exact, &ends, &ids}) {
        if (found->size() > 1)
            return fail(bad_input("'" + printable(wanted) + "' is not the only one: " + called(found->at(0)) + ", " +
                                      called(found->at(1)),
                                  "write more of it"));
        if (found->size() == 1)
            return std::optional{found->front()};
    }
    return std::optional<Found>{};
}

Result<std::string> name_for(const Found& found, const LoadRequest& request) {
    if (!request.name.empty())
        return tag_name(request.name);
    if (found.name.empty() && found.image.names.empty())
        return fail(bad_input("the image has no name there", "podman tag " + found.image.id.substr(0, 12) + " NAME"));
    return tag_name(found.name.empty() ? found.image.names.front() : found.name).context("the storage's name of it");
}

Result<Tag> take(const Store& store, Storage& storage, const Found& found, const LoadRequest& request) {
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
        if (const auto found = TRY(find(images, request.wanted)))
            return take(store, storage, *found, request);
    }
    if (!known)
        return fail(Error{std::errc::no_such_file_or_directory, "there are no images of the drivers overlay and vfs",
                          with_podman});
    return fail(Error{std::errc::no_such_file_or_directory,
                      "no image there is called '" + printable(request.wanted) + "'", "'podman images' lists them"});
}

} // namespace ctrd::image
