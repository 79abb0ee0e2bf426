// The generator's work: declarations in, units and compiled configs out.
#include "config/config.hpp"

#include "config/files.hpp"
#include "config/units_parts.hpp"
#include "ctrd/base/fault.hpp"
#include "ctrd/base/file.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

namespace ctrd::config {
namespace {

using Json = nlohmann::json;

std::string compiled_folder(const OutputDirs& out, std::string_view name) {
    return fmt::format("{}/{}", out.compiled, name);
}
std::string config_file(const OutputDirs& out, std::string_view name) {
    return compiled_folder(out, name) + "/config.json";
}
std::string image_file(const OutputDirs& out, std::string_view name) { return compiled_folder(out, name) + "/image"; }
std::string hosts_path(const OutputDirs& out, std::string_view name) {
    return compiled_folder(out, name) + "/" + hosts_file;
}
/// The last good units of a container, for the day when its file has a mistake in it.
std::string memory_file(const OutputDirs& out, std::string_view name) {
    return compiled_folder(out, name) + "/units.json";
}

Result<void> make_parent(const std::string& path) { return make_dirs(path.substr(0, path.rfind('/')), 0755); }

Result<void> make_link(const std::string& path, const std::string& target) {
    TRY_VOID(make_parent(path));
    if (::symlink(target.c_str(), path.c_str()) == 0 || errno == EEXIST)
        return {};
    return fail(os_error(errno, fmt::format("cannot make the link '{}'", path)));
}

Result<void> write_units(const Compiled& compiled, const OutputDirs& out) {
    for (const auto& file : compiled.files) {
        const auto path = out.units + "/" + file.path;
        TRY_VOID(make_parent(path));
        TRY_VOID(write_atomic(path, file.text, 0644));
    }
    for (const auto& link : compiled.links)
        TRY_VOID(make_link(out.units + "/" + link.path, link.target));
    return {};
}

bool holds(const std::string& path, const std::string& text) {
    const auto there = read_file(path, 8U << 20);
    return there && *there == text;
}

Result<void> write_compiled(const Compiled& compiled, const OutputDirs& out) {
    TRY_VOID(make_dirs(out.compiled, 0700));
    TRY_VOID(make_dirs(compiled_folder(out, compiled.name), 0700));
    // The note of the image first: what the config names is then never without one.
    if (!compiled.image_note.empty() && !holds(image_file(out, compiled.name), compiled.image_note))
        TRY_VOID(write_atomic(image_file(out, compiled.name), compiled.image_note, 0600));
    if (!compiled.hosts.empty() && !holds(hosts_path(out, compiled.name), compiled.hosts))
        TRY_VOID(write_atomic(hosts_path(out, compiled.name), compiled.hosts, 0644));
    // An unchanged one keeps its time: `ctrctl apply` tells by it what was started before the config was written.
    if (!holds(config_file(out, compiled.name), compiled.config_json))
        TRY_VOID(write_atomic(config_file(out, compiled.name), compiled.config_json, 0600));
    if (compiled.image_note.empty())
        ::unlink(image_file(out, compiled.name).c_str());
    if (compiled.hosts.empty())
        ::unlink(hosts_path(out, compiled.name).c_str());
    return {};
}

Result<void> remember_units(const Compiled& compiled, const OutputDirs& out) {
    Json memory{{"files", Json::object()}, {"links", Json::object()}};
    for (const auto& file : compiled.files)
        memory["files"][file.path] = file.text;
    for (const auto& link : compiled.links)
        memory["links"][link.path] = link.target;
    TRY_VOID(make_dirs(out.compiled, 0700));
    TRY_VOID(make_dirs(compiled_folder(out, compiled.name), 0700));
    return write_atomic(memory_file(out, compiled.name), memory.dump(), 0600);
}

/// The units as they were when the file was still right; none after a boot.
Compiled remembered_units(const std::string& name, const OutputDirs& out) {
    Compiled compiled{name, {}};
    const auto text = read_file(memory_file(out, name));
    const Json memory = text ? Json::parse(*text, nullptr, false) : Json{};
    if (!memory.is_object() || !memory.contains("files") || !memory.contains("links"))
        return compiled;
    for (const auto& [path, content] : memory["files"].items())
        compiled.files.push_back({path, content.get<std::string>()});
    for (const auto& [path, target] : memory["links"].items())
        compiled.links.push_back({path, target.get<std::string>()});
    return compiled;
}

/// The container's units and, if its files are there already, its config.
Outcome<Compiled> compile_now_or_later(const UnitSpec& spec, const OutputDirs& out) {
    if (missing_files(spec, out.store).empty())
        return compile(spec, {.store = out.store});
    Compiled compiled{spec.name, {}};
    add_units(spec, spec.resources, {.deferred = true}, compiled);
    return compiled;
}

/// Until the note of its use is written nobody may remove an image that was found.
UniqueFd lock_images(const UnitSpec& spec, const OutputDirs& out) {
    const auto store = spec.image ? image::Store::open_existing(out.store) : Result<image::Store>{fail(Error{})};
    auto lock = store ? store->lock_shared() : Result<UniqueFd>{fail(Error{})};
    return lock ? std::move(*lock) : UniqueFd{}; // no store, or one that nobody can change
}

Diagnostics generate_one(const std::string& name, const SearchDirs& dirs, const OutputDirs& out) {
    auto loaded = load(name, dirs);
    const UniqueFd lock = loaded ? lock_images(loaded->spec, out) : UniqueFd{};
    auto compiled = loaded ? compile_now_or_later(loaded->spec, out) : Outcome<Compiled>{refuse(loaded.error())};
    if (!compiled) {
        auto problems = std::move(compiled.error());
        if (auto kept = write_units(remembered_units(name, out), out); !kept)
            std::ranges::move(from_error(kept.error()), std::back_inserter(problems));
        return problems;
    }
    // The config before the units: a unit that systemd knows can be started.
    auto written = compiled->config_json.empty() ? Result<void>{} : write_compiled(*compiled, out);
    fault_point("generate-config-written");
    if (written)
        written = write_units(*compiled, out);
    fault_point("generate-units-written");
    if (written)
        written = remember_units(*compiled, out);
    return written ? Diagnostics{}
                   : from_error(std::move(written).context(fmt::format("container '{}'", name)).error());
}

void remove_stale(const std::vector<std::string>& declared, const OutputDirs& out, Diagnostics& problems) {
    const auto folders = list_folder(out.compiled);
    if (!folders)
        return;
    for (const auto& name : *folders) {
        if (std::ranges::binary_search(declared, name))
            continue;
        std::error_code error;
        std::filesystem::remove_all(compiled_folder(out, name), error);
        fault_point("generate-stale-removed");
        if (error)
            std::ranges::move(
                from_error(os_error(error.value(), fmt::format("cannot remove '{}'", compiled_folder(out, name)))),
                std::back_inserter(problems));
    }
}

bool is_link(const std::string& path) {
    std::error_code error;
    return std::filesystem::is_symlink(path, error);
}

/// The file that says where the container listens: which one says whether each connection has a container of its own.
std::array<std::string, 2> socket_files(const std::string& name) {
    return {fmt::format("ctr@{}.socket.d/10-ctrd.conf", name), fmt::format("ctr-{}.socket", name)};
}

} // namespace

Changes compare(const Compiled& compiled, const OutputDirs& out) {
    Changes changes;
    const auto note = read_file(image_file(out, compiled.name));
    changes.image = note && !compiled.image_note.empty() && *note != compiled.image_note;
    changes.added = ::access(config_file(out, compiled.name).c_str(), F_OK) < 0;
    changes.config = !holds(config_file(out, compiled.name), compiled.config_json);
    const auto sockets = socket_files(compiled.name);
    for (const auto& file : compiled.files) {
        const bool is_socket = std::ranges::find(sockets, file.path) != sockets.end();
        (is_socket ? changes.socket : changes.service) |= !holds(out.units + "/" + file.path, file.text);
    }
    for (const auto& socket : sockets)
        if (std::ranges::find(compiled.files, socket, &UnitFile::path) == compiled.files.end())
            changes.socket = changes.socket || ::access((out.units + "/" + socket).c_str(), F_OK) == 0;
    for (const char* type : {"path", "timer"})
        if (const auto unit = fmt::format("ctr@{}.{}", compiled.name, type);
            std::ranges::find(compiled.files, unit, &UnitFile::path) == compiled.files.end())
            changes.service = changes.service || ::access((out.units + "/" + unit).c_str(), F_OK) == 0;
    for (const auto* unit : {"ctr@{}.service", "ctr-{}@.service"})
        if (const auto drop_in = survival_drop_in(fmt::format(fmt::runtime(unit), compiled.name));
            std::ranges::find(compiled.files, drop_in, &UnitFile::path) == compiled.files.end())
            changes.service = changes.service || ::access((out.units + "/" + drop_in).c_str(), F_OK) == 0;
    // A link more or less: `start` changed.
    for (const auto& link : {fmt::format("sockets.target.wants/ctr@{}.socket", compiled.name),
                             fmt::format("sockets.target.wants/ctr-{}.socket", compiled.name),
                             fmt::format("paths.target.wants/ctr@{}.path", compiled.name),
                             fmt::format("timers.target.wants/ctr@{}.timer", compiled.name),
                             fmt::format("multi-user.target.wants/ctr@{}.service", compiled.name)}) {
        const bool wanted = std::ranges::find(compiled.links, link, &UnitLink::path) != compiled.links.end();
        changes.service = changes.service || wanted != is_link(out.units + "/" + link);
    }
    return changes;
}

std::vector<std::string> list_compiled(const OutputDirs& out) {
    std::vector<std::string> names;
    if (const auto folders = list_folder(out.compiled))
        std::ranges::copy_if(*folders, std::back_inserter(names), [&](const std::string& name) {
            return ::access(config_file(out, name).c_str(), F_OK) == 0;
        });
    return names;
}

Diagnostics generate(const SearchDirs& dirs, const OutputDirs& out) {
    Listing listing = list_names(dirs);
    Diagnostics problems = std::move(listing.problems);
    // A folder that could not be read says nothing about what is declared in it.
    const bool complete =
        std::ranges::none_of(dirs.folders, [](const std::string& folder) { return !list_folder(folder); });
    for (const auto& name : listing.names)
        std::ranges::move(generate_one(name, dirs, out), std::back_inserter(problems));
    if (complete)
        remove_stale(listing.names, out, problems);
    return problems;
}

Outcome<Compiled> compile_deferred(std::string_view name, const SearchDirs& dirs, const OutputDirs& out) {
    auto loaded = load(name, dirs);
    if (!loaded)
        return refuse(std::move(loaded.error()));
    const UniqueFd lock = lock_images(loaded->spec, out);
    auto compiled = compile_late(loaded->spec, {.store = out.store});
    if (!compiled)
        return compiled;
    Compiled without{compiled->name, {}};
    add_units(loaded->spec, loaded->spec.resources, {}, without);
    const auto same = [](const UnitFile& a, const UnitFile& b) { return a.text == b.text; };
    if (!std::ranges::equal(without.files, compiled->files, same)) {
        if (loaded->spec.image)
            return refuse({{origin_of(loaded->spec, "image"),
                            "the image runs a systemd, and the container's unit was made before the image was there",
                            "run 'systemctl daemon-reload', or write systemd = true"}});
        return refuse({{origin_of(loaded->spec, "bundle"),
                        "the bundle sets limits, and its unit was made before the bundle was there",
                        "run 'systemctl daemon-reload', or write the limits in [resources]"}});
    }
    if (auto written = write_compiled(*compiled, out); !written)
        return refuse(from_error(written.error()));
    return compiled;
}

} // namespace ctrd::config
