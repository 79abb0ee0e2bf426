#include "ctrd/image/check_layer.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/same_tree.hpp"
#include "ctrd/image/settle.hpp"
#include "ctrd/image/unpack.hpp"
#include "ctrd/image/verity.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <limits>

namespace ctrd::image {
namespace {

/// It is in the store, so it was allowed once.
LayerLimits no_limits() {
    constexpr std::uint64_t any = std::numeric_limits<std::uint64_t>::max();
    return {.bytes = any, .file_size = any, .entries = any, .ratio_from = any};
}

Result<UniqueFd> open_readable(const Store& store, const Digest& chain) {
    const UniqueFd layer = TRY(store.open_layer(chain));
    return open_at(layer.get(), ".", O_RDONLY | O_DIRECTORY);
}

/// "tree" in `workspace`.
Result<UniqueFd> unpack_again(const Store& store, const Workspace& workspace, const Image& image, std::size_t at) {
    UniqueFd tree = TRY(workspace.new_folder("tree"));
    const LayerInput input{TRY(store.open_blob(image.manifest.layers[at].digest))};
    const LayerJob job{input, image.manifest.layers[at], image.config.diff_ids[at], -1, 0, tree.get(), no_limits(), {}};
    const LayerResult unpacked = TRY(unpack_layer(job));
    std::vector<UniqueFd> lowers; // the uppermost first
    for (std::size_t i = at; i > 0; --i)
        lowers.push_back(TRY(store.open_layer(image.chain[i - 1])));
    TRY_VOID(settle(tree.get(), unpacked.debts, lowers));
    return tree;
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
    const UniqueFd tree = TRY(unpack_again(store, workspace, image, at));
    const UniqueFd layer = TRY(open_readable(store, image.chain[at]));
    if (const auto difference = TRY(first_difference(tree.get(), layer.get())))
        return fail(bad_input("in its unpacked form " + *difference + " is not what its blob says"));
    return {};
}

Result<void> rebuild_layer(const Store& store, const Image& image, std::size_t at, bool verity, int folder) {
    const Workspace workspace = TRY(Workspace::make(store));
    {
        const UniqueFd tree = TRY(unpack_again(store, workspace, image, at));
        TRY_VOID(store.sync());
        if (verity)
            TRY_VOID(seal_layer(workspace, tree.get(), "record", {}));
    }
    TRY_VOID(store.sync());
    for (const char* name : {"tree", "record"})
        if (::renameat(workspace.folder(), name, folder, name) < 0 &&
            (errno != ENOENT || name == std::string_view{"tree"}))
            return fail(os_error(errno, "cannot hand over a layer that was made anew"));
    return {};
}

} // namespace ctrd::image
