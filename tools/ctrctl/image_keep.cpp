// tag, rm, prune; and what all verbs of `ctrctl image` share.
#include "tools/ctrctl/image_progress.hpp"
#include "tools/ctrctl/image_pull.hpp"
#include "tools/ctrctl/image_use.hpp"
#include "tools/ctrctl/image_verbs.hpp"
#include "tools/ctrctl/output.hpp"

#include "config/syntax.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace ctrd::ctl {

std::string store_path(const ImageOptions& options) {
    return options.store.empty() ? image::default_store : options.store;
}

Outcome<image::Store> open_store(const ImageOptions& options, bool to_write) {
    if (::geteuid() != 0)
        return refuse(exit_denied,
                      {std::errc::operation_not_permitted, "images are root's: permission denied", "run it as root"});
    // Removing a deep tree holds a descriptor for each of its levels.
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }
    auto store = to_write ? image::Store::open(store_path(options)) : image::Store::open_existing(store_path(options));
    if (!store)
        return refuse(store.error().code == std::errc::no_such_file_or_directory ? exit_no_container : exit_failure,
                      std::move(store).error());
    return std::move(*store);
}

int report_image(const Error& error) {
    return report(error.code == std::errc::no_such_file_or_directory ? exit_no_container : exit_failure, error);
}

int image_tag(const ImageOptions& options) {
    const auto store = open_store(options, true);
    if (!store)
        return report(store.error());
    const auto name = image::tag_name(options.output);
    if (!name)
        return report(exit_bad_input, name.error());
    const auto lock = store->lock_shared();
    if (!lock)
        return report(exit_failure, lock.error());
    auto tag = find_stored_image(*store, options.name);
    if (!tag)
        return report_image(tag.error());
    const auto workspace = image::Workspace::make(*store);
    if (!workspace)
        return report(exit_failure, workspace.error());
    tag->name = *name;
    tag->since = static_cast<std::int64_t>(std::time(nullptr));
    const auto done = store->set_tag(*workspace, *tag);
    return done ? int{exit_ok} : report(exit_failure, done.error());
}

int image_remove(const ImageOptions& options) {
    const auto store = open_store(options, true);
    if (!store)
        return report(store.error());
    int code = exit_ok;
    for (const std::string& text : options.names) {
        // A digest may have several names: which of them goes must be said.
        const auto name = image::tag_name(text);
        const auto unused = name && !options.force ? check_unused(*store, *name) : Result<void>{};
        const auto removed = !name     ? Result<bool>{fail(name.error())}
                             : !unused ? Result<bool>{fail(unused.error())}
                                       : store->remove_tag(*name);
        if (!removed)
            code = report(name ? exit_failure : exit_bad_input, removed.error());
        else if (!*removed)
            code = report(exit_no_container,
                          {std::errc::no_such_file_or_directory, "there is no image '" + printable(*name) + "'",
                           "'ctrctl image list' shows the names"});
    }
    return code;
}

namespace {

/// Besides what is in use: of the names those that no container is made from and that are old enough go, if asked for.
Result<image::Kept> kept_besides(const image::Store& store, const ImageOptions& options, std::uint64_t age_us) {
    image::Kept kept = TRY(kept_images(store));
    if (!options.all)
        return kept;
    const auto before = std::time(nullptr) - static_cast<std::int64_t>(age_us / 1'000'000);
    const auto tags = TRY(store.tags());
    for (const image::Tag& tag : tags)
        if (tag.since <= before && std::ranges::none_of(kept.uses, [&](const image::Use& use) {
                const auto meant = image::tag_name(use.image);
                return use.digest == tag.manifest || (meant && *meant == tag.name);
            }))
            kept.unwanted_names.insert(tag.name);
    return kept;
}

} // namespace

int image_prune(const ImageOptions& options) {
    const auto store = open_store(options, true);
    if (!store)
        return report(store.error());
    const auto age = options.until.empty() ? Result<std::uint64_t>{0} : config::parse_duration(options.until);
    if (!age)
        return report(exit_bad_input, Result<std::uint64_t>{age}.context("--until").error());
    const auto removed = image::prune(
        *store, [&] { return kept_besides(*store, options, *age); }, options.dry_run);
    if (!removed)
        return report(exit_failure, removed.error());
    if (const Json json = json_of(options.json); json != Json::off) {
        auto blobs = nlohmann::json::array();
        for (const auto& digest : removed->blobs)
            blobs.push_back(digest.text());
        return print(json_text({{"names", removed->names},
                                {"blobs", blobs},
                                {"layers", removed->layers},
                                {"changes", removed->changes},
                                {"bytes", removed->bytes}},
                               json));
    }
    std::string text = fmt::format("{}{} layers and {} blobs of {}\n", options.dry_run ? "would remove " : "removed ",
                                   removed->layers.size(), removed->blobs.size(), size_text(removed->bytes));
    for (const auto& name : removed->names)
        text += fmt::format("{}the name '{}'\n", options.dry_run ? "would remove " : "removed ", printable(name));
    for (const auto& changes : removed->changes)
        text += fmt::format("{}what container '{}' had written to an image\n",
                            options.dry_run ? "would remove " : "removed ",
                            printable(changes.substr(0, changes.find('/'))));
    return print(text);
}

int image(const ImageOptions& options) {
    struct Verb {
        std::string_view name;
        int (*run)(const ImageOptions&);
    };
    constexpr std::array verbs{
        Verb{"load", image_load},   Verb{"import", image_import},   Verb{"pull", image_pull},
        Verb{"save", image_save},   Verb{"diff", image_diff},       Verb{"push", image_push},
        Verb{"list", image_list},   Verb{"inspect", image_inspect}, Verb{"history", image_history},
        Verb{"tree", image_tree},   Verb{"tag", image_tag},         Verb{"rm", image_remove},
        Verb{"prune", image_prune}, Verb{"verify", image_verify},   Verb{"referrers", image_referrers}};
    for (const Verb& verb : verbs)
        if (verb.name == options.verb)
            return verb.run(options);
    return report(exit_bad_input, bad_input("unknown verb '" + options.verb + "'"));
}

} // namespace ctrd::ctl
