#include "ctrd/image/check_layer.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/new_layer.hpp"
#include "ctrd/image/same_tree.hpp"
#include "ctrd/image/unpack.hpp"
#include "ctrd/image/verity.hpp"

#include <fcntl.h>

#include <cerrno>
#include <limits>

namespace ctrd::image {
namespace {

constexpr const char* made_name = "layer";
constexpr const char* record_name = "record";

/// It is in the store, so it was allowed once.
LayerLimits no_limits() {
    constexpr std::uint64_t any = std::numeric_limits<std::uint64_t>::max();
    return {.bytes = any, .file_size = any, .entries = any, .ratio_from = any};
}

Result<UniqueFd> open_readable(const Store& store, const Digest& chain) {
    return open_at(store.root(), "layers/" + Store::layer_name(chain), O_RDONLY | O_NOFOLLOW);
}

Result<std::vector<LayerNode>> layers_below(const Store& store, const Image& image, std::size_t at) {
    std::vector<LayerNode> lowers; // the uppermost first
    for (std::size_t i = at; i > 0; --i) {
        UniqueFd layer = TRY(store.open_layer(image.chain[i - 1]));
        lowers.push_back(TRY(LayerNode::root(std::move(layer))));
    }
    return lowers;
}

/// "layer" in `workspace`; nothing where it can't have that form.
Result<std::optional<UniqueFd>> make_again(const Store& store, const Workspace& workspace, const Image& image,
                                           std::size_t at, LayerForm form) {
    NewLayer layer = TRY(NewLayer::make(workspace, made_name, form, no_limits()));
    const LayerInput input{TRY(store.open_blob(image.manifest.layers[at].digest))};
    const LayerJob job{input, image.manifest.layers[at], image.config.diff_ids[at], -1, 0, &layer.writer(), no_limits(),
                       {}};
    TRY(unpack_layer(job));
    const auto lowers = TRY(layers_below(store, image, at));
    return TRY(layer.settle(lowers, image.chain[at])) ? std::optional{TRY(layer.open())} : std::nullopt;
}

} // namespace

Result<void> check_measures(const Store& store, const Digest& chain) {
    auto record = TRY(store.open_record(chain));
    if (!record)
        return {};
    const UniqueFd layer = TRY(open_readable(store, chain));
    if (const auto found = TRY(first_unsealed(layer.get(), *std::move(record))))
        return fail(bad_input("in its unpacked form " + *found));
    return {};
}

Result<void> check_layer(const Store& store, const Image& image, std::size_t at) {
    TRY_VOID(check_measures(store, image.chain[at]));
    const Workspace workspace = TRY(Workspace::make(store));
    const UniqueFd layer = TRY(open_readable(store, image.chain[at]));
    const auto made = TRY(make_again(store, workspace, image, at, store.form_of(image.chain[at])));
    if (!made)
        return fail(bad_input("it is an EROFS file, which the layer of its blob can't be"));
    if (const auto difference = TRY(first_difference(made->get(), layer.get())))
        return fail(bad_input("in its unpacked form " + *difference + " is not what its blob says"));
    return {};
}

Result<void> rebuild_layer(const Store& store, const Image& image, std::size_t at, bool verity, int folder) {
    const Workspace workspace = TRY(Workspace::make(store));
    {
        auto made = TRY(make_again(store, workspace, image, at, store.form_of(image.chain[at])));
        if (!made) // somebody else's file
            made = TRY(make_again(store, workspace, image, at, LayerForm::folder));
        TRY_VOID(store.sync());
        if (verity)
            TRY_VOID(seal_layer(workspace, made->get(), record_name, {}));
    }
    TRY_VOID(store.sync());
    for (const char* name : {made_name, record_name})
        if (::renameat(workspace.folder(), name, folder, name) < 0 && (errno != ENOENT || name == made_name))
            return fail(os_error(errno, "cannot hand over a layer that was made anew"));
    return {};
}

} // namespace ctrd::image
