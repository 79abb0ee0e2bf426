#include "ctrd/image/check_layer.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/same_tree.hpp"
#include "ctrd/image/settle.hpp"
#include "ctrd/image/unpack.hpp"

#include <fcntl.h>

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

} // namespace

Result<void> check_layer(const Store& store, const Image& image, std::size_t at) {
    const Workspace workspace = TRY(Workspace::make(store));
    const UniqueFd tree = TRY(workspace.new_folder("tree"));
    const LayerInput input{TRY(store.open_blob(image.manifest.layers[at].digest))};
    const LayerJob job{input, image.manifest.layers[at], image.config.diff_ids[at], -1, 0, tree.get(), no_limits(), {}};
    const LayerResult unpacked = TRY(unpack_layer(job));
    std::vector<UniqueFd> lowers; // the uppermost first
    for (std::size_t i = at; i > 0; --i)
        lowers.push_back(TRY(store.open_layer(image.chain[i - 1])));
    TRY_VOID(settle(tree.get(), unpacked.debts, lowers));
    const UniqueFd layer = TRY(open_readable(store, image.chain[at]));
    if (const auto difference = TRY(first_difference(tree.get(), layer.get())))
        return fail(bad_input("in its unpacked form " + *difference + " is not what its blob says"));
    return {};
}

} // namespace ctrd::image
