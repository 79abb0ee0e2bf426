// What is different: between two images, in an image's uppermost layer, in what a container has written.
#include "ctrd/image/diff.hpp"
#include "tools/ctrctl/container_files.hpp"
#include "tools/ctrctl/image_pull.hpp"
#include "tools/ctrctl/image_verbs.hpp"
#include "tools/ctrctl/output.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>

#include <array>

namespace ctrd::ctl {
namespace {

using nlohmann::json;
using Layers = std::vector<UniqueFd>;

Result<Layers> open_layers(const image::Store& store, std::span<const image::Digest> chain) {
    Layers layers;
    for (auto one = chain.rbegin(); one != chain.rend(); ++one)
        layers.push_back(TRY(open_layer_root(store, *one)));
    return layers;
}

Result<std::vector<image::Change>> compare(const Layers& before, const Layers& after) {
    std::vector<image::Change> changes;
    TRY_VOID(image::compare_layers(before, after, [&](const image::Change& one) { changes.push_back(one); }));
    return changes;
}

int show_changes(const std::vector<image::Change>& changes, Json how) {
    constexpr std::string_view letters = "ACD";
    constexpr std::array<const char*, 3> words{"added", "changed", "deleted"};
    json array = json::array();
    std::string text;
    for (const image::Change& one : changes) {
        const auto kind = static_cast<std::size_t>(one.kind);
        text += std::string{letters[kind]} + " " + printable(one.path) + "\n";
        if (how != Json::off)
            array.push_back({{"kind", words[kind]}, {"path", one.path}});
    }
    return print(how != Json::off ? json_text(array, how) : text);
}

Result<std::vector<image::Change>> compare_images(const image::Store& store, const ImageOptions& options) {
    const image::Tag tag = TRY(find_stored_image(store, options.name));
    const image::Image image = TRY(store.load(tag.manifest));
    const std::span<const image::Digest> chain{image.chain};
    const Layers layers = TRY(open_layers(store, chain));
    if (options.output.empty()) { // against the layers below its uppermost one
        const Layers below = TRY(open_layers(store, chain.first(chain.empty() ? 0 : chain.size() - 1)));
        return compare(below, layers);
    }
    const image::Tag other_tag = TRY(find_stored_image(store, options.output));
    const image::Image other = TRY(store.load(other_tag.manifest));
    const Layers others = TRY(open_layers(store, other.chain));
    return compare(layers, others);
}

} // namespace

int image_diff(const ImageOptions& options) {
    const auto store = open_store(options, false);
    if (!store)
        return report(store.error());
    const auto lock = store->lock_shared();
    if (!lock)
        return report(exit_failure, lock.error());
    const auto changes = compare_images(*store, options);
    return changes ? show_changes(*changes, json_of(options.json)) : report_image(changes.error());
}

int diff(const DiffOptions& options) {
    if (auto good = check_names({options.name}); !good)
        return report(good.error());
    const auto store = open_store({}, false);
    if (!store)
        return report(store.error());
    const auto lock = store->lock_shared();
    if (!lock)
        return report(exit_failure, lock.error());
    auto container = changes_of(*store, options.name);
    if (!container)
        return report(container.error());
    const Layers before = std::move(container->layers);
    Layers after;
    after.push_back(std::move(container->upper));
    for (const UniqueFd& layer : before)
        after.emplace_back(::fcntl(layer.get(), F_DUPFD_CLOEXEC, 0));
    const auto changes = compare(before, after);
    return changes ? show_changes(*changes, json_of(options.json)) : report(exit_failure, changes.error());
}

} // namespace ctrd::ctl
