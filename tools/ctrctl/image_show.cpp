// list, inspect, history, tree. All that comes from an image is made printable: it may want to steer the terminal.
#include "tools/ctrctl/image_progress.hpp"
#include "tools/ctrctl/image_pull.hpp"
#include "tools/ctrctl/image_use.hpp"
#include "tools/ctrctl/image_verbs.hpp"
#include "tools/ctrctl/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <ctime>
#include <map>

namespace ctrd::ctl {
namespace {

using nlohmann::json;

std::string time_text(std::int64_t since) {
    const std::time_t time = since;
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

std::uint64_t size_of(const image::Image& image) {
    std::uint64_t size = image.descriptor.size + image.manifest.config.size;
    for (const auto& layer : image.manifest.layers)
        size += layer.size;
    return size;
}

json summary(const image::Tag& tag, const Result<image::Image>& image) {
    json one{{"name", tag.name},   {"digest", tag.manifest.text()}, {"index", nullptr}, {"source", tag.source},
             {"trust", tag.trust}, {"since", time_text(tag.since)}};
    if (tag.index)
        one["index"] = tag.index->text();
    if (image) {
        one["platform"] = image->config.platform.text();
        one["size"] = size_of(*image);
        one["layers"] = image->manifest.layers.size();
    } else {
        one["error"] = image.error().message;
    }
    return one;
}

json details(const image::Store& store, const image::Tag& tag, const image::Image& image) {
    json one = summary(tag, image);
    json layers = json::array();
    for (std::size_t i = 0; i < image.chain.size(); ++i)
        layers.push_back({{"blob", image.manifest.layers[i].digest.text()},
                          {"size", image.manifest.layers[i].size},
                          {"mediaType", image.manifest.layers[i].media_type},
                          {"diffId", image.config.diff_ids[i].text()},
                          {"chainId", image.chain[i].text()},
                          {"form", store.form_of(image.chain[i]) == image::LayerForm::erofs ? "erofs" : "folder"}});
    json environment = json::array();
    for (const auto& [name, value] : image.config.environment)
        environment.push_back(name + "=" + value);
    one["layers"] = std::move(layers);
    one["config"] = {{"digest", image.manifest.config.digest.text()},
                     {"created", image.config.created},
                     {"author", image.config.author},
                     {"entrypoint", image.config.entrypoint},
                     {"command", image.config.command},
                     {"environment", std::move(environment)},
                     {"user", image.config.user},
                     {"workingDirectory", image.config.working_directory},
                     {"stopSignal", image.config.stop_signal},
                     {"exposedPorts", image.config.exposed_ports},
                     {"volumes", image.config.volumes},
                     {"labels", image.config.labels}};
    one["annotations"] = image.manifest.annotations;
    return one;
}

struct Chosen {
    image::Tag tag;
    image::Image image;
};

Result<Chosen> choose_image(const image::Store& store, const std::string& name) {
    image::Tag tag = TRY(find_stored_image(store, name));
    image::Image image = TRY(store.load(tag.manifest));
    return Chosen{std::move(tag), std::move(image)};
}

/// Opens, finds, shows; the exit code.
template <class Show> int show_one(const ImageOptions& options, Show show) {
    const auto store = open_store(options, false);
    if (!store)
        return report(store.error());
    const auto chosen = choose_image(*store, options.name);
    return chosen ? show(*store, *chosen) : report_image(chosen.error());
}

/// And those that containers still use although their name means another one by now.
std::vector<image::Tag> with_nameless(std::vector<image::Tag> tags, const ImageUsers& users) {
    const auto named = tags;
    for (const auto& [digest, containers] : users)
        if (std::ranges::find(named, digest, &image::Tag::manifest) == named.end())
            tags.push_back({.manifest = digest});
    return tags;
}

} // namespace

int image_list(const ImageOptions& options) {
    const auto store = open_store(options, false);
    const bool none = !store && store.error().exit == exit_no_container;
    if (!store && !none)
        return report(store.error());
    const auto tags = none ? Result<std::vector<image::Tag>>{std::vector<image::Tag>{}} : store->tags();
    if (!tags)
        return report(exit_failure, tags.error());
    const Json how = json_of(options.json);
    json array = json::array();
    std::string names;
    Table table{{"NAME", "DIGEST", "PLATFORM", "LAYERS", "SIZE", "SINCE", "USED BY"}};
    const auto users = none ? Result<ImageUsers>{ImageUsers{}} : image_users(*store);
    if (!users)
        return report(exit_failure, users.error());
    for (const auto& tag : *tags)
        names += printable(tag.name) + "\n";
    for (const auto& tag : options.quiet ? std::vector<image::Tag>{} : with_nameless(*tags, *users)) {
        const auto image = store->load(tag.manifest);
        const auto by = users->find(tag.manifest);
        const std::set<std::string> containers = by == users->end() ? std::set<std::string>{} : by->second;
        array.push_back(summary(tag, image));
        array.back()["usedBy"] = containers;
        const std::string name = tag.name.empty() ? "-" : printable(tag.name);
        const std::string used = printable(fmt::format("{}", fmt::join(containers, ", ")));
        if (image)
            table.add({{name},
                       {tag.manifest.short_text()},
                       {printable(image->config.platform.text())},
                       {std::to_string(image->manifest.layers.size())},
                       {size_text(size_of(*image))},
                       {tag.name.empty() ? "" : time_text(tag.since)},
                       {used}});
        else
            table.add({{name}, {tag.manifest.short_text()}, {"damaged", Style::bad}, {}, {}, {}, {used}});
    }
    if (how != Json::off)
        return print(json_text(array, how));
    if (options.quiet)
        return print(names);
    if (tags->empty() && users->empty())
        return print("no images are stored; 'ctrctl image pull' or 'load' brings one\n");
    return print(table.render(look_of_stdout()));
}

int image_inspect(const ImageOptions& options) {
    return show_one(options, [&](const image::Store& store, const Chosen& chosen) {
        const Json how = json_of(options.json);
        return print(json_text(details(store, chosen.tag, chosen.image), how == Json::off ? Json::pretty : how));
    });
}

int image_history(const ImageOptions& options) {
    return show_one(options, [&](const image::Store&, const Chosen& chosen) {
        json array = json::array();
        Table table{{"CREATED", "SIZE", "BY"}};
        std::size_t layer = 0;
        const auto& layers = chosen.image.manifest.layers;
        for (const auto& step : chosen.image.config.history) {
            const bool has_layer = !step.empty_layer && layer < layers.size();
            const std::uint64_t size = has_layer ? layers[layer++].size : 0;
            const std::string by = step.created_by.empty() ? step.comment : step.created_by;
            table.add({{printable(step.created)}, {size_text(size)}, {printable(by)}});
            array.push_back({{"created", step.created},
                             {"createdBy", step.created_by},
                             {"comment", step.comment},
                             {"emptyLayer", step.empty_layer},
                             {"size", size}});
        }
        const Json how = json_of(options.json);
        return print(how != Json::off ? json_text(array, how) : table.render(look_of_stdout()));
    });
}

int image_tree(const ImageOptions& options) {
    return show_one(options, [&](const image::Store& store, const Chosen& chosen) {
        std::map<image::Digest, std::vector<std::string>> users;
        for (const auto& tag : store.tags().value_or(std::vector<image::Tag>{}))
            if (const auto other = store.load(tag.manifest))
                for (const auto& chain : other->chain)
                    users[chain].push_back(tag.name);
        json array = json::array();
        Table table{{"LAYER", "SIZE", "SHARED WITH"}};
        for (std::size_t i = 0; i < chosen.image.chain.size(); ++i) {
            std::string others;
            json with = json::array();
            for (const auto& name : users[chosen.image.chain[i]])
                if (name != chosen.tag.name) {
                    others += (others.empty() ? "" : ", ") + printable(name);
                    with.push_back(name);
                }
            const auto& layer = chosen.image.manifest.layers[i];
            table.add({{chosen.image.chain[i].short_text()}, {size_text(layer.size)}, {others}});
            array.push_back({{"chainId", chosen.image.chain[i].text()}, {"size", layer.size}, {"sharedWith", with}});
        }
        const Json how = json_of(options.json);
        return print(how != Json::off ? json_text(array, how) : table.render(look_of_stdout()));
    });
}

} // namespace ctrd::ctl
