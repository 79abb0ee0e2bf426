// load and import: the worker takes the image apart, we hold the store's lock and show how far it is.
#include "config/image_settings.hpp"
#include "config/syntax.hpp"
#include "ctrd/base/file.hpp"
#include "tools/ctrctl/image_bring.hpp"
#include "tools/ctrctl/image_progress.hpp"
#include "tools/ctrctl/image_verbs.hpp"
#include "tools/ctrctl/image_worker.hpp"
#include "tools/ctrctl/output.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace ctrd::ctl {
namespace {

Result<imaging::Request> request_for(const ImageOptions& options) {
    imaging::Request request;
    request.verb = options.verb;
    request.load.name = options.name;
    request.load.wanted = options.wanted;
    request.load.replace = options.replace;
    request.load.source = options.file == "-" ? "stdin" : options.file;
    request.load.platform = TRY(wanted_platform(options.platform));
    if (!options.name.empty())
        TRY(image::tag_name(options.name));
    if (!options.max_layer_size.empty())
        request.load.options.limits.bytes = TRY(config::parse_bytes(options.max_layer_size));
    request.config.command = options.command;
    request.config.user = options.user;
    if (!options.user.empty())
        TRY(config::parse_user(options.user));
    request.config.working_directory = options.directory;
    if (!options.directory.empty())
        TRY_VOID(config::check_absolute_path(options.directory));
    for (const std::string& entry : options.environment)
        request.config.environment.emplace_back(entry.substr(0, entry.find('=')), entry.substr(entry.find('=') + 1));
    return request;
}

Result<UniqueFd> open_input(const std::string& path) {
    if (path == "-")
        return dup(STDIN_FILENO);
    auto input = open_at(AT_FDCWD, path, O_RDONLY | O_NOCTTY);
    if (!input)
        input.error().hint = "FILE is a file or a folder of this machine: nothing is fetched from a registry";
    return input;
}

int bring(const ImageOptions& options) {
    if (auto good = check_assignments(options.environment); !good)
        return report(good.error());
    const auto request = request_for(options);
    if (!request)
        return report(exit_bad_input, request.error());
    const auto input = open_input(options.file);
    if (!input)
        return report(exit_failure, input.error());
    const auto store = open_store(options, true);
    if (!store)
        return report(store.error());
    const auto lock = store->lock_shared();
    if (!lock)
        return report(exit_failure, lock.error());
    const Json json = json_of(options.json);
    auto tags = [&] {
        ProgressView view{json};
        const int given[] = {input->get()};
        return run_image_worker(*request, *store, given, [&](const image::Progress& progress) { view.show(progress); });
    }();
    if (!tags)
        return report_brought(std::move(tags).context("'" + printable(options.file) + "'").error());
    return show_brought(*tags, json);
}

} // namespace

int image_load(const ImageOptions& options) { return bring(options); }

int image_import(const ImageOptions& options) { return bring(options); }

} // namespace ctrd::ctl
