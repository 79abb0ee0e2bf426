// Finding the files of a container and making one document of them.
#include "config/config.hpp"

#include "config/checks.hpp"
#include "config/document.hpp"
#include "config/files.hpp"
#include "config/ranges.hpp"
#include "config/reader.hpp"
#include "config/syntax.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

namespace ctrd::config {
namespace {

constexpr std::string_view main_suffix = ".toml";
constexpr std::string_view drop_in_suffix = ".conf.toml";

/// Empty, or a link to /dev/null: the way in which systemd's users switch a file off.
bool is_masked(const std::string& path) {
    struct stat st {};
    struct stat null {};
    if (::stat(path.c_str(), &st) < 0)
        return false;
    const bool is_null = S_ISCHR(st.st_mode) && ::stat("/dev/null", &null) == 0 && st.st_rdev == null.st_rdev;
    return is_null || (S_ISREG(st.st_mode) && st.st_size == 0);
}

bool exists(const std::string& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0;
}

std::string main_path(const std::string& folder, std::string_view name) {
    return fmt::format("{}/{}{}", folder, name, main_suffix);
}

/// File name -> path; a folder later in the list wins. Names that were meant as drop-ins but are none are reported.
std::map<std::string, std::string> drop_ins(std::string_view name, const std::vector<std::string>& folders,
                                            Diagnostics& problems) {
    std::map<std::string, std::string> found;
    for (const auto& folder : folders) {
        const auto path = main_path(folder, name) + ".d";
        auto entries = list_folder(path);
        if (!entries)
            std::ranges::move(from_error(entries.error(), path), std::back_inserter(problems));
        else
            for (const auto& entry : *entries) {
                if (entry.ends_with(drop_in_suffix) && entry.size() > drop_in_suffix.size())
                    found[entry] = path + "/" + entry;
                else if (entry.ends_with(main_suffix))
                    problems.push_back(
                        {{path + "/" + entry, 0, 0}, "the name of a drop-in must end in '.conf.toml'", "rename it"});
            }
    }
    return found;
}

Outcome<SourceFile> read_source(const std::string& path) {
    constexpr std::size_t limit = 1U << 20;
    auto text = read_file(path, limit);
    if (!text)
        return refuse(from_error(text.error()));
    return SourceFile{path, *std::move(text)};
}

/// Two sockets may not share a name, and who listens at one place only needs not to think of one.
void name_sockets(UnitSpec& spec) {
    for (auto& socket : spec.sockets) {
        if (!socket.name.empty() || socket.listen.empty())
            continue;
        const auto address = parse_listen(socket.listen);
        const std::string base = address && address->port != 0 ? fmt::format("port-{}", address->port) : "socket";
        std::string name = base;
        for (int number = 2; std::ranges::find(spec.sockets, name, &SocketSpec::name) != spec.sockets.end(); ++number)
            name = fmt::format("{}-{}", base, number);
        socket.name = name;
    }
}

/// The program binds the path that the host listens on, unless another one was declared.
void set_paths(UnitSpec& spec) {
    for (auto& socket : spec.sockets)
        if (socket.path.empty() && socket.listen.starts_with('/') && socket.deliver != Deliver::pass &&
            socket.deliver != Deliver::stdio)
            socket.path = socket.listen;
}

Outcome<Loaded> load_files(std::string_view name, const std::string& main, const std::vector<std::string>& folders) {
    Diagnostics problems;
    std::vector<std::string> paths{main};
    for (const auto& [file, path] : drop_ins(name, folders, problems))
        if (!is_masked(path))
            paths.push_back(path);
    std::vector<SourceFile> files;
    for (const auto& path : paths) {
        auto source = read_source(path);
        if (source)
            files.push_back(*std::move(source));
        else
            std::ranges::move(source.error(), std::back_inserter(problems));
    }
    if (files.size() < paths.size()) // what the missing one says can't be missed in the rest
        return refuse(std::move(problems));
    auto spec = parse(name, files);
    if (!spec)
        std::ranges::move(spec.error(), std::back_inserter(problems));
    if (!problems.empty())
        return refuse(std::move(problems));
    return Loaded{*std::move(spec), std::move(paths)};
}

} // namespace

Result<std::vector<std::string>> list_folder(const std::string& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder{::opendir(path.c_str()), ::closedir};
    if (!folder) {
        if (errno == ENOENT || errno == ENOTDIR)
            return std::vector<std::string>{};
        return fail(os_error(errno, "cannot read the folder"));
    }
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(folder.get()))
        if (entry->d_name[0] != '.')
            names.emplace_back(entry->d_name);
    std::ranges::sort(names);
    return names;
}

SearchDirs SearchDirs::system(const std::string& root) {
    return {{root + "/usr/lib/ctrd/containers", root + "/run/ctrd/containers", root + "/etc/ctrd/containers"}};
}

Listing list_names(const SearchDirs& dirs) {
    Listing listing;
    std::set<std::string> names;
    for (const auto& folder : dirs.folders) {
        auto entries = list_folder(folder);
        if (!entries) {
            std::ranges::move(from_error(entries.error(), folder), std::back_inserter(listing.problems));
            continue;
        }
        for (const auto& entry : *entries) {
            if (!entry.ends_with(main_suffix))
                continue;
            const auto name = entry.substr(0, entry.size() - main_suffix.size());
            if (auto ok = check_container_name(name); ok)
                names.insert(name);
            else
                listing.problems.push_back({{folder + "/" + entry, 0, 0}, ok.error().message, ok.error().hint});
        }
    }
    for (const auto& name : names)
        (is_masked(*find_main_file(name, dirs)) ? listing.masked : listing.names).push_back(name);
    return listing;
}

std::optional<std::string> find_main_file(std::string_view name, const SearchDirs& dirs) {
    for (auto folder = dirs.folders.rbegin(); folder != dirs.folders.rend(); ++folder)
        if (auto path = main_path(*folder, name); exists(path))
            return path;
    return std::nullopt;
}

Outcome<Loaded> load(std::string_view name, const SearchDirs& dirs) {
    if (auto ok = check_container_name(name); !ok)
        return refuse(from_error(ok.error()));
    const auto main = find_main_file(name, dirs);
    if (!main)
        return refuse(
            {{{},
              fmt::format("no container '{}' is declared", name),
              fmt::format("declare it in '{}'",
                          main_path(dirs.folders.empty() ? "/etc/ctrd/containers" : dirs.folders.back(), name))}});
    if (is_masked(*main))
        return refuse({{{*main, 0, 0},
                        fmt::format("container '{}' is masked", name),
                        "the file is empty or a link to /dev/null: remove it"}});
    return load_files(name, *main, dirs.folders);
}

Outcome<Loaded> check_file(const std::string& path) {
    const auto slash = path.rfind('/');
    const auto folder = slash == std::string::npos ? std::string{"."} : path.substr(0, slash);
    const auto file = slash == std::string::npos ? path : path.substr(slash + 1);
    const auto name = file.ends_with(main_suffix) ? file.substr(0, file.size() - main_suffix.size()) : std::string{};
    if (auto ok = check_container_name(name); !ok)
        return refuse(
            {{{path, 0, 0}, "the file's name is not that of a container", "name it NAME.toml: " + ok.error().hint}});
    return load_files(name, path, {folder});
}

Outcome<UnitSpec> parse(std::string_view name, const std::vector<SourceFile>& files) {
    Diagnostics problems;
    Value document;
    for (const auto& file : files) {
        auto one = parse_toml(file.text, file.path);
        if (!one) {
            std::ranges::move(one.error(), std::back_inserter(problems));
            continue;
        }
        if (&file == &files.front())
            document = *std::move(one);
        else
            merge(document, *one);
    }
    // What is missing because a file could not be read at all is no mistake of its own.
    if (!problems.empty())
        return refuse(std::move(problems));
    UnitSpec spec = read_spec(name, document, problems);
    expand_ranges(spec, problems);
    set_paths(spec);
    name_sockets(spec);
    if (!spec.image || spec.systemd) // what an image runs is known later: with_image()
        set_systemd_defaults(spec);
    std::ranges::move(check(spec), std::back_inserter(problems));
    if (!problems.empty())
        return refuse(std::move(problems));
    return spec;
}

Start start_of(const UnitSpec& spec) {
    const bool at_boot = (spec.sockets.empty() && spec.triggers.empty()) || spec.standby != Standby::stopped;
    return spec.start.value_or(at_boot ? Start::boot : Start::connection);
}

bool runs_systemd(const UnitSpec& spec) {
    if (spec.systemd)
        return *spec.systemd;
    if (spec.command.empty())
        return false;
    const std::string& program = spec.command.front();
    const auto base = program.substr(program.rfind('/') + 1);
    return base == "systemd" || (base == "init" && program.ends_with("/sbin/init"));
}

void set_systemd_defaults(UnitSpec& spec, bool signal_too) {
    if (!runs_systemd(spec))
        return;
    if (signal_too && !spec.origins.contains("stop-signal"))
        spec.stop_signal = "SIGRTMIN+3";
    if (!spec.origins.contains("stop-timeout"))
        spec.stop_timeout_us = 90'000'000;
    if (!spec.origins.contains("ready-timeout"))
        spec.ready_timeout_us = 90'000'000;
}

const char* source_key(const UnitSpec& spec) { return spec.image ? "image" : spec.bundle ? "bundle" : "rootfs"; }

const std::string& source_of(const UnitSpec& spec) {
    static const std::string none;
    const auto& source = spec.image ? spec.image : spec.bundle ? spec.bundle : spec.rootfs;
    return source ? *source : none;
}

bool awaits_word(const UnitSpec& spec) { return spec.notify.value_or(runs_systemd(spec)) && !accepts(spec); }

bool pipes_output(const UnitSpec& spec) {
    const bool is_usual = spec.image && !runs_systemd(spec) && !accepts(spec) && !spec.terminal;
    return spec.output.value_or(is_usual ? Output::pipe : Output::journal) == Output::pipe;
}

bool has_machine_shell(const UnitSpec& spec) { return spec.machine_shell.value_or(!runs_systemd(spec)); }

Location origin_of(const UnitSpec& spec, const std::string& key) {
    for (std::string at = key;;) {
        if (const auto it = spec.origins.find(at); it != spec.origins.end())
            return it->second;
        if (at.empty())
            return {};
        const auto dot = at.rfind('.');
        at = dot == std::string::npos ? std::string{} : at.substr(0, dot);
    }
}

} // namespace ctrd::config
