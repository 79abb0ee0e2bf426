// load and import: the worker takes the image apart, we hold the store's lock and show how far it is.
#include "config/syntax.hpp"
#include "ctrd/base/file.hpp"
#include "tools/ctrctl/image_progress.hpp"
#include "tools/ctrctl/image_verbs.hpp"
#include "tools/ctrctl/image_worker.hpp"
#include "tools/ctrctl/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>

namespace ctrd::ctl {
namespace {

Result<std::uint64_t> parse_size(const std::string& text) {
    const auto wrong = bad_input("'" + text + "' is not a size", "write bytes, or for example 512M or 64G");
    constexpr std::string_view units = "KMGT";
    std::string_view digits = text;
    unsigned shift = 0;
    if (const auto unit = digits.empty() ? std::string_view::npos : units.find(digits.back());
        unit != std::string_view::npos) {
        shift = 10 * (static_cast<unsigned>(unit) + 1);
        digits.remove_suffix(1);
    }
    const auto value = config::parse_decimal(digits, UINT64_MAX >> shift);
    return value && *value > 0 ? Result<std::uint64_t>{*value << shift} : fail(wrong);
}

Result<image::Platform> parse_platform(const std::string& text) {
    if (text.empty())
        return image::host_platform();
    std::array<std::string, 3> parts;
    std::size_t count = 0;
    for (std::size_t begin = 0; begin <= text.size() && count < 3; ++count) {
        const std::size_t end = std::min(text.find('/', begin), text.size());
        parts[count] = text.substr(begin, end - begin);
        begin = end + 1;
    }
    if (count < 2 || parts[0].empty() || parts[1].empty() || std::ranges::count(text, '/') > 2)
        return fail(bad_input("'" + text + "' is not a platform", "for example linux/amd64 or linux/arm/v7"));
    return image::Platform{parts[0], parts[1], parts[2]};
}

Result<imaging::Request> request_for(const ImageOptions& options) {
    imaging::Request request;
    request.verb = options.verb;
    request.load.name = options.name;
    request.load.wanted = options.wanted;
    request.load.replace = options.replace;
    request.load.source = options.file == "-" ? "stdin" : options.file;
    request.load.platform = TRY(parse_platform(options.platform));
    if (!options.name.empty())
        TRY(image::tag_name(options.name));
    if (!options.max_layer_size.empty())
        request.load.options.limits.bytes = TRY(parse_size(options.max_layer_size));
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

int show_loaded(const std::vector<image::Tag>& tags, Json json) {
    if (json != Json::off)
        return print(json_text({{"tags", imaging::to_json(tags)}}, json));
    std::string text;
    for (const image::Tag& tag : tags)
        text += printable(tag.name) + "@" + tag.manifest.text() + "\n";
    return print(text);
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
        return run_image_worker(*request, store->root(), input->get(),
                                [&](const image::Progress& progress) { view.show(progress); });
    }();
    if (!tags)
        return report(exit_failure, std::move(tags).context("'" + printable(options.file) + "'").error());
    return show_loaded(*tags, json);
}

} // namespace

int image_load(const ImageOptions& options) { return bring(options); }

int image_import(const ImageOptions& options) { return bring(options); }

} // namespace ctrd::ctl
