// save: the worker reads the store and writes the archive, into a file that we have opened.
#include "tools/ctrctl/image_bring.hpp"
#include "tools/ctrctl/image_pull.hpp"
#include "tools/ctrctl/image_verbs.hpp"
#include "tools/ctrctl/image_worker.hpp"
#include "tools/ctrctl/output_file.hpp"

namespace ctrd::ctl {

int image_save(const ImageOptions& options) {
    const auto store = open_store(options, true);
    if (!store)
        return report(store.error());
    const auto lock = store->lock_shared();
    if (!lock)
        return report(exit_failure, lock.error());
    imaging::Request request;
    request.verb = "save";
    request.kind = options.format == "docker-archive" ? image::ArchiveKind::docker : image::ArchiveKind::oci;
    for (const std::string& name : options.names) {
        auto tag = find_stored_image(*store, name);
        if (!tag)
            return report_image(tag.error());
        request.tags.push_back(std::move(*tag));
    }
    auto file = OutputFile::open(options.output);
    if (!file)
        return report(file.error());
    const int given[] = {file->fd()};
    auto saved = run_image_worker(request, *store, given, {});
    if (!saved)
        return report_brought(std::move(saved).error());
    const auto kept = file->keep();
    return kept ? int{exit_ok} : report(exit_failure, kept.error());
}

} // namespace ctrd::ctl
