// push: ctr-fetch sends; it gets the files of the blobs, opened for reading, and nothing else of the store.
#include "ctrd/registry/wire.hpp"
#include "tools/ctrctl/image_bring.hpp"
#include "tools/ctrctl/image_progress.hpp"
#include "tools/ctrctl/image_pull.hpp"
#include "tools/ctrctl/image_verbs.hpp"
#include "tools/ctrctl/registry_job.hpp"

#include <nlohmann/json.hpp>

namespace ctrd::ctl {
namespace {

/// Where it goes, complete.
Result<image::Reference> destination(const image::Tag& tag, const std::string& wanted) {
    auto reference = TRY(image::parse_reference(wanted.empty() ? tag.name : wanted));
    if (reference.is_short())
        return fail(bad_input("'" + printable(reference.text()) + "' does not say to which registry",
                              "ctrctl image push IMAGE REGISTRY/" + printable(reference.text())));
    if (!wanted.empty() && reference.digest)
        return fail(bad_input("an image is pushed to a tag: its digest is its own"));
    reference.digest.reset(); // of one that was pulled by its digest: it goes under that alone
    return reference;
}

Result<std::vector<UniqueFd>> open_blobs(const image::Store& store, const image::Image& image) {
    std::vector<UniqueFd> files;
    files.push_back(TRY(store.open_blob(image.manifest.config.digest)));
    for (const auto& layer : image.manifest.layers)
        files.push_back(TRY(store.open_blob(layer.digest)));
    return files;
}

Result<image::Reference> push(const image::Store& store, const image::Tag& tag, const ImageOptions& options,
                              const image::ProgressSink& progress) {
    const auto reference = TRY(destination(tag, options.output));
    const UniqueFd lock = TRY(store.lock_shared());
    const image::Image image = TRY(store.load(tag.manifest));
    const auto files = TRY(open_blobs(store, image));
    auto settings = TRY(registry::gather_settings(
        reference, {options.auth_file, options.certificate_folder, tls_wish(options.tls_verify)}, true));
    settings.manifest = TRY(store.read_document(tag.manifest));
    settings.manifest_type =
        image.manifest.media_type.empty() ? std::string{image::media::oci_manifest} : image.manifest.media_type;
    TRY_VOID(run_registry_job({{"verb", "push"}, {"blobs", files.size()}}, settings, files, progress));
    return reference;
}

} // namespace

int image_push(const ImageOptions& options) {
    const auto store = open_store(options, false);
    if (!store)
        return report(store.error());
    const auto tag = find_stored_image(*store, options.name);
    if (!tag)
        return report_image(tag.error());
    if (const auto good = destination(*tag, options.output); !good)
        return report(exit_bad_input, good.error());
    const Json json = json_of(options.json);
    auto pushed = [&] {
        ProgressView view{json, options.quiet};
        return push(*store, *tag, options, [&](const image::Progress& one) { view.show(one); });
    }();
    if (!pushed)
        return report_brought(std::move(pushed).context("'" + printable(options.name) + "'").error());
    const std::string name = pushed->tag.empty() ? pushed->name() : pushed->name() + ":" + pushed->tag;
    if (json != Json::off)
        return print(json_text({{"pushed", name}, {"digest", tag->manifest.text()}}, json));
    return print(name + "@" + tag->manifest.text() + "\n");
}

} // namespace ctrd::ctl
