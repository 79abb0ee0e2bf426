#include "tools/ctrctl/image_pull.hpp"

#include "config/syntax.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/registry/wire.hpp"
#include "tools/ctrctl/image_bring.hpp"
#include "tools/ctrctl/image_fetch.hpp"
#include "tools/ctrctl/image_progress.hpp"
#include "tools/ctrctl/image_signals.hpp"
#include "tools/ctrctl/image_storage.hpp"
#include "tools/ctrctl/image_verbs.hpp"
#include "tools/ctrctl/image_worker.hpp"

#include <cstdlib>

namespace ctrd::ctl {
namespace {

constexpr const char* system_policy = "/etc/containers/policy.json";

/// As containers-policy.json(5) has it: the user's own before the system's.
Result<image::Policy> load_policy(const std::string& file) {
    if (!file.empty())
        return image::Policy::parse(TRY(read_file(file)), file);
    std::vector<std::string> files{system_policy};
    if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
        files.insert(files.begin(), std::string{home} + "/.config/containers/policy.json");
    for (const std::string& path : files) {
        const auto text = read_file(path);
        if (text)
            return image::Policy::parse(*text, path);
        if (text.error().code != std::errc::no_such_file_or_directory)
            return fail(text.error());
    }
    return image::Policy::permissive();
}

Result<std::vector<image::PullCandidate>> candidates(const registry::FetchSettings& settings,
                                                     const std::string& policy_file) {
    const image::Policy policy = TRY(load_policy(policy_file));
    std::vector<image::PullCandidate> result;
    for (registry::Reference& reference : TRY(settings.registries.candidates(settings.reference))) {
        image::PullCandidate one{std::move(reference)};
        one.requirements = policy.for_registry(one.reference, one.scope);
        TRY_VOID(image::read_keys(one.requirements));
        result.push_back(std::move(one));
    }
    return result;
}

Result<imaging::Request> request_for(const registry::FetchSettings& settings, const PullOptions& options) {
    imaging::Request request;
    request.verb = "pull";
    request.candidates = TRY(candidates(settings, options.policy_file));
    request.load.platform = TRY(wanted_platform(options.platform));
    if (options.max_layer_size > 0)
        request.load.options.limits.bytes = options.max_layer_size;
    return request;
}

/// Before anything is asked or opened.
Result<void> check_name(const std::string& name, const ImageOptions& options) {
    if (!is_in_storage(name)) {
        TRY(image::parse_reference(name));
        return {};
    }
    TRY_VOID(check_storage_name(name));
    if (!options.platform.empty() || !options.policy_file.empty() || !options.auth_file.empty() ||
        !options.certificate_folder.empty() || !options.tls_verify.empty())
        return fail(bad_input("'" + printable(name) +
                                  "' comes from no registry: --platform, --signature-policy, "
                                  "--authfile, --cert-dir and --tls-verify say nothing about it",
                              "pull it by itself"));
    return {};
}

} // namespace

std::optional<bool> tls_wish(const std::string& text) {
    return text.empty() ? std::nullopt : std::optional{text == "true"};
}

Result<image::Tag> pull_image(const image::Store& store, const std::string& name, const PullOptions& options,
                              const image::ProgressSink& progress) {
    const auto reference = TRY(image::parse_reference(name));
    const auto settings = TRY(registry::gather_settings(
        reference, {options.auth_file, options.certificate_folder, options.verify_tls}, false));
    const auto request = TRY(request_for(settings, options));
    const UniqueFd lock = TRY(store.lock_shared());
    const FetchProcess fetching = TRY(start_fetching(settings));
    const int given[] = {fetching.channel.get()};
    auto tags = run_image_worker(request, store, given, progress);
    if (!tags)
        return fail(why_not_fetched(fetching, std::move(tags).error()));
    if (tags->size() != 1)
        return fail(bad_input("the image worker's answer is not valid"));
    return tags->front();
}

Result<image::Tag> find_stored_image(const image::Store& store, const std::string& name) {
    auto found = image::find_image(store, name);
    const auto reference = image::parse_reference(name);
    if (found || !reference || !reference->is_short())
        return found;
    const auto conf = TRY(registry::load_registries(registry::RegistriesPaths::from_environment()));
    const auto completed = conf.candidates(*reference);
    if (!completed)
        return found;
    for (const auto& one : *completed)
        if (auto stored = image::find_image(store, one.text()))
            return stored;
    return found;
}

int image_pull(const ImageOptions& options) {
    PullOptions pull{options.platform,    0,
                     options.auth_file,   options.certificate_folder,
                     options.policy_file, tls_wish(options.tls_verify)};
    if (!options.max_layer_size.empty()) {
        const auto size = config::parse_bytes(options.max_layer_size);
        if (!size)
            return report(exit_bad_input, size.error());
        pull.max_layer_size = *size;
    }
    if (const auto platform = wanted_platform(options.platform); !platform)
        return report(exit_bad_input, platform.error());
    for (const std::string& name : options.names)
        if (const auto good = check_name(name, options); !good)
            return report(exit_bad_input, good.error());
    const auto store = open_store(options, true);
    if (!store)
        return report(store.error());
    const Json json = json_of(options.json);
    std::vector<image::Tag> tags;
    for (const std::string& name : options.names) {
        auto tag = [&] {
            ProgressView view{json, options.quiet};
            const auto show = [&](const image::Progress& one) { view.show(one); };
            const auto bring = [&](const image::ProgressSink& progress) {
                return is_in_storage(name) ? pull_from_storage(*store, name, pull.max_layer_size, progress)
                                           : pull_image(*store, name, pull, progress);
            };
            return options.store.empty() ? with_signals(name, show, bring) : bring(show);
        }();
        if (!tag)
            return report_brought(std::move(tag).context("'" + printable(name) + "'").error());
        tags.push_back(*std::move(tag));
    }
    return show_brought(tags, json);
}

} // namespace ctrd::ctl
