#include "tools/ctrctl/image_repair.hpp"

#include "tools/ctrctl/image_pull.hpp"
#include "tools/ctrctl/image_worker.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>

namespace ctrd::ctl {
namespace {

// --- unpacked layers -----------------------------------------------------------------------------------------------

/// Overlayfs does not bear that its layers change: who runs from one keeps it.
Result<void> check_nobody_runs(const image::Store& store, const image::Digest& chain) {
    const auto uses = TRY(image::uses(store));
    for (const image::Use& use : uses) {
        const auto image = use.running ? store.load(use.digest) : Result<image::Image>{fail(bad_input(""))};
        if (use.running && (!image || std::ranges::find(image->chain, chain) != image->chain.end()))
            return fail(Error{std::errc::device_or_resource_busy,
                              "container '" + printable(use.container) + "' runs from it",
                              "'ctrctl stop' it, and repair then"});
    }
    return {};
}

bool has(const image::Workspace& workspace, const char* name) {
    struct stat st {};
    return ::fstatat(workspace.folder(), name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<void> rebuild(const image::Store& store, const image::Digest& manifest, std::size_t at) {
    const image::Image image = TRY(store.load(manifest));
    const image::Digest& chain = image.chain.at(at);
    TRY_VOID(check_nobody_runs(store, chain));
    const image::Workspace workspace = TRY(image::Workspace::make(store));
    imaging::Request request;
    request.verb = "rebuild";
    request.base = manifest;
    request.layer = static_cast<std::uint32_t>(at);
    request.workspace = workspace.name();
    {
        const UniqueFd lock = TRY(store.lock_shared());
        const UniqueFd layer = TRY(store.open_layer(chain));
        const int given[] = {layer.get()};
        TRY(run_image_worker(request, store, given, {}));
    }
    // Nobody begins to run from it meanwhile, and whoever waits does so for two renames.
    const UniqueFd lock = TRY(store.lock_exclusive());
    TRY_VOID(check_nobody_runs(store, chain));
    TRY_VOID(store.exchange_layer(workspace, "layer", chain));
    return has(workspace, "record") ? store.keep_record(workspace, "record", chain) : store.drop_record(chain);
}

// --- blobs ---------------------------------------------------------------------------------------------------------

/// Where an image may be had by its digest: under its names, and where it was found.
std::vector<std::string> repositories(const std::vector<image::Tag>& tags, const image::Digest& manifest) {
    std::vector<std::string> result;
    const auto add = [&](const std::string& name) {
        const auto reference = image::parse_reference(name);
        if (reference && !reference->is_short() && std::ranges::find(result, reference->name()) == result.end())
            result.push_back(reference->name());
    };
    for (const image::Tag& tag : tags)
        if (tag.manifest == manifest && image::parse_full_name(tag.source)) {
            add(tag.name);
            add(tag.source);
        }
    return result;
}

/// What is there is not looked at by a pull, so a damaged layer goes first; documents are looked at.
Result<void> drop_damaged(const image::Store& store, const image::Digest& manifest, const image::Digest& blob) {
    const auto image = store.load(manifest);
    if (!image ||
        std::ranges::find(image->manifest.layers, blob, &image::Descriptor::digest) == image->manifest.layers.end())
        return {};
    const UniqueFd lock = TRY(store.lock_exclusive());
    return store.drop_blob(blob);
}

Result<void> fetch(const image::Store& store, const std::string& repository, const image::Digest& digest,
                   const std::string& platform) {
    const std::string name = repository + "@" + digest.text();
    const auto before = TRY(store.find_tag(name));
    PullOptions options;
    options.platform = platform;
    TRY(pull_image(store, name, options, {}));
    if (!before) // the image has its names already
        TRY(store.remove_tag(name));
    return {};
}

Result<void> fetch_again(const image::Store& store, const image::Tag& tag, const image::Digest& blob) {
    TRY_VOID(drop_damaged(store, tag.manifest, blob));
    const auto tags = TRY(store.tags());
    const auto places = repositories(tags, tag.manifest);
    if (places.empty())
        return fail(
            bad_input("it came from '" + printable(tag.source) + "', not from a registry",
                      "bring it again: 'ctrctl image load' or 'import', or 'pull' of Podman's or Docker's storage"));
    // Through an index it is found by the platform that it is for.
    const bool is_index = tag.index == blob;
    std::string platform;
    if (is_index) {
        const image::Image image = TRY(store.load(tag.manifest));
        const image::Platform& its = image.config.platform;
        platform = its.os + "/" + its.architecture + (its.variant.empty() ? "" : "/" + its.variant);
    }
    std::optional<Error> first;
    for (const std::string& place : places) {
        auto fetched = fetch(store, place, is_index ? blob : tag.manifest, platform);
        if (fetched || fetched.error().code == std::errc::interrupted)
            return fetched;
        if (!first)
            first = std::move(fetched).error();
    }
    return fail(*std::move(first));
}

} // namespace

Result<void> repair(const image::Store& store, const Finding& finding) {
    if (finding.image)
        return rebuild(store, *finding.image, finding.layer);
    const auto tag = TRY(store.find_tag(finding.problem.what));
    if (!tag || !finding.problem.blob)
        return fail(bad_input("nothing is known that could be done about it"));
    return fetch_again(store, *tag, *finding.problem.blob);
}

} // namespace ctrd::ctl
