// commit and export: what a container has written as an image, and all of its files as a tar. The worker reads them.
#include "tools/ctrctl/container_files.hpp"
#include "tools/ctrctl/image_bring.hpp"
#include "tools/ctrctl/image_progress.hpp"
#include "tools/ctrctl/image_verbs.hpp"
#include "tools/ctrctl/image_worker.hpp"
#include "tools/ctrctl/output_file.hpp"

#include <optional>

namespace ctrd::ctl {
namespace {

/// A connection for as long as which the container stands still, unless it did already: whatever ends us lets it go on.
Outcome<Client> hold(const std::string& name, bool ask) {
    auto client = Client::connect(ask);
    if (!client)
        return std::unexpected{std::move(client).error()};
    const auto details = client->details(name);
    if (!details)
        return std::unexpected{details.error()};
    if (details->leader != 0)
        if (auto held = client->on_container("HoldContainer", name); !held)
            return std::unexpected{std::move(held).error()};
    return std::move(*client);
}

} // namespace

int commit(const CommitOptions& options) {
    if (auto good = check_names({options.name}); !good)
        return report(good.error());
    const auto name = image::tag_name(options.image);
    if (!name)
        return report(exit_bad_input, name.error());
    const auto store = open_store({}, true);
    if (!store)
        return report(store.error());
    const auto lock = store->lock_shared();
    if (!lock)
        return report(exit_failure, lock.error());
    const auto changes = changes_of(*store, options.name);
    if (!changes)
        return report(changes.error());
    imaging::Request request;
    request.verb = "commit";
    request.load.name = *name;
    request.load.source = "ctrctl commit " + options.name;
    request.base = changes->use.digest;
    request.author = options.author;
    request.message = options.message;
    const Json json = json_of(options.json);
    auto tags = [&]() -> Outcome<std::vector<image::Tag>> {
        std::optional<Client> held;
        if (options.pause) {
            auto standing = hold(options.name, !options.no_ask_password);
            if (!standing)
                return std::unexpected{std::move(standing).error()};
            held.emplace(std::move(*standing));
        }
        const int given[] = {changes->upper.get()};
        auto made = run_image_worker(request, *store, given, {});
        if (held) // where that fails our end does it, a moment later
            [[maybe_unused]]
            auto released = held->on_container("ReleaseContainer", options.name);
        if (!made)
            return refuse(made.error().code == std::errc::interrupted ? exit_interrupted : exit_failure,
                          std::move(made).context("container '" + options.name + "'").error());
        return std::move(*made);
    }();
    return tags ? show_brought(*tags, json) : report(tags.error());
}

int export_files(const ExportOptions& options) {
    if (auto good = check_names({options.name}); !good)
        return report(good.error());
    if (const auto good = open_store({}, true); !good)
        return report(good.error());
    auto client = Client::connect(false);
    if (!client)
        return report(client.error());
    auto file = OutputFile::open(options.output);
    if (!file)
        return report(file.error());
    const auto files = files_of_running(*client, options.name);
    if (!files)
        return report(files.error());
    // Again: the worker can't use a descriptor that leads into the mount namespace in which we were.
    const auto store = open_store({}, true);
    if (!store)
        return report(store.error());
    imaging::Request request;
    request.verb = "export";
    request.owners = files->owners;
    const int given[] = {files->root.get(), file->fd()};
    auto written = run_image_worker(request, *store, given, {});
    if (!written)
        return report_brought(std::move(written).context("container '" + options.name + "'").error());
    const auto kept = file->keep();
    return kept ? int{exit_ok} : report(exit_failure, kept.error());
}

} // namespace ctrd::ctl
