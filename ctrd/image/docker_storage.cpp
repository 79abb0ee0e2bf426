#include "ctrd/image/docker_storage.hpp"

#include "ctrd/image/foreign_storage.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/json.hpp"

#include <fcntl.h>

#include <map>

namespace ctrd::image {
namespace {

constexpr std::size_t largest_list = 16U << 20;
constexpr std::size_t longest_id = 256;
constexpr const char* with_docker = "'docker save NAME | ctrctl image load -' takes it, too";

/// How each driver keeps a layer's files. What others do (btrfs, zfs, devicemapper) is not read.
struct Driver {
    const char* name;
    const char* before;
    const char* behind;
};
constexpr Driver drivers[]{
    {"overlay2", "overlay2/", "/diff"}, {"fuse-overlayfs", "fuse-overlayfs/", "/diff"}, {"vfs", "vfs/dir/", ""}};

/// "nginx:1" is short for "docker.io/library/nginx:1" there.
std::string whole_name(const std::string& name) {
    const std::string host = name.substr(0, name.find('/'));
    if (host.size() == name.size())
        return "docker.io/library/" + name;
    return host == "localhost" || host.find_first_of(".:") != std::string::npos ? name : "docker.io/" + name;
}

/// Storage of one driver.
class Storage {
public:
    Storage(const UniqueFd& root, const Driver& driver) : root_{root}, driver_{driver} {}

    Result<bool> is_there() const { return root_.has(path("repositories.json")); }

    Result<std::vector<ForeignImage>> images() const {
        const std::string text = TRY(root_.text(path("repositories.json"), largest_list));
        const Json json = TRY(parse_json(text, largest_list).context("repositories.json"));
        const oci::Reader in = TRY(oci::Reader::root(json));
        const auto repositories = TRY(in.object("Repositories"));
        std::map<std::string, ForeignImage> result;
        if (repositories)
            for (const auto& repository : repositories->json().items()) {
                const auto names = TRY(repositories->object(repository.key().c_str()));
                if (!names)
                    continue;
                for (const auto& entry : names->json().items()) {
                    const std::string& name = entry.key();
                    const std::string id = TRY(names->required_string(name.c_str()));
                    TRY_VOID(add(name, id, result));
                }
            }
        std::vector<ForeignImage> images;
        for (auto& [id, image] : result)
            images.push_back(std::move(image));
        return images;
    }

    Result<std::string> config(const Digest& id) const {
        std::string text = TRY(root_.text(path("imagedb/content/sha256/") + id.hex(), max_document_size));
        if (digest_of(text, id.algorithm()) != id)
            return fail(bad_input("the image's config is not '" + id.text() + "'",
                                  "the storage was changed or is damaged: have Docker pull the image anew"));
        return text;
    }

    /// The tar that it was unpacked from.
    Result<LayerInput> open_layer(const Digest& chain) const {
        const std::string folder = path("layerdb/sha256/") + chain.hex();
        std::string id = TRY(root_.text(folder + "/cache-id", longest_id));
        if (!is_foreign_id(id))
            return fail(bad_input("the storage has an id that is none", with_docker));
        auto list = root_.open(folder + "/tar-split.json.gz", O_RDONLY);
        if (!list)
            return fail(Error{list.error().code,
                              "the storage does not say how layer '" + id + "' was packed: " + list.error().message,
                              with_docker});
        UniqueFd tree = TRY(root_.open(driver_.before + id + driver_.behind, O_RDONLY | O_DIRECTORY));
        return stream_layer(std::move(*list), std::move(tree));
    }

private:
    [[nodiscard]] std::string path(const char* rest) const { return std::string{"image/"} + driver_.name + "/" + rest; }

    /// An image has a name for each tag, and others, with its digest at a registry, which say no more.
    static Result<void> add(const std::string& name, const std::string& id, std::map<std::string, ForeignImage>& to) {
        const Digest digest = TRY(Digest::parse(id).context("the storage's id of an image"));
        ForeignImage& image = to[id];
        image.id = digest.hex();
        if (!name.contains('@'))
            image.names.push_back(whole_name(name));
        return {};
    }

    ForeignFolder root_;
    const Driver& driver_;
};

Result<Tag> take(const Store& store, const Storage& storage, const FoundForeign& found, const LoadRequest& request) {
    const std::string name = TRY(name_for(found, request));
    const Digest id = TRY(Digest::parse("sha256:" + found.image.id));
    const std::string text = TRY(storage.config(id));
    const Config config = TRY(parse_config(text).context("the image's config"));
    std::vector<LayerSource> sources;
    for (const Digest& chain : chain_ids(config.diff_ids))
        sources.push_back({{}, [&storage, chain](std::uint64_t) { return storage.open_layer(chain); }});
    const Workspace workspace = TRY(Workspace::make(store));
    const Image image = TRY(ingest(store, workspace, text, std::move(sources), request.options));
    return name_image(store, workspace, image, {}, name, request.source, true);
}

} // namespace

Result<Tag> load_from_docker_storage(const Store& store, UniqueFd root, const LoadRequest& request) {
    bool known = false;
    for (const Driver& driver : drivers) {
        const Storage storage{root, driver};
        if (!TRY(storage.is_there()))
            continue;
        known = true;
        const auto images = TRY(storage.images());
        if (const auto found = TRY(find_foreign(images, request.wanted)))
            return take(store, storage, *found, request);
    }
    if (!known)
        return fail(
            Error{std::errc::no_such_file_or_directory,
                  "there are no images of the drivers overlay2, fuse-overlayfs and vfs; a Docker that keeps its "
                  "images in containerd has none there",
                  with_docker});
    return fail(Error{std::errc::no_such_file_or_directory,
                      "no image there is called '" + printable(request.wanted) + "'", "'docker images' lists them"});
}

} // namespace ctrd::image
