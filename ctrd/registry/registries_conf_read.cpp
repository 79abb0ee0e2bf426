// registries.conf: from TOML to settings. Keys that are not known here are other programs' business: the file is not
// ours alone. What is known must be right.
#include "ctrd/registry/registries_conf.hpp"

#include "config/document.hpp"
#include "ctrd/base/file.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace ctrd::registry {
namespace {

using config::Member;
using config::Value;
using Kind = Value::Kind;

constexpr std::size_t most_drop_ins = 256;

Error complain(const Member& member, std::string_view why, std::string_view hint = {}) {
    return bad_input(
        config::to_text(config::Diagnostic{member.value.at, "'" + member.key + "' " + std::string{why}, {}}), hint);
}

Result<void> read(const Value& table, std::string_view key, std::string& into) {
    const Member* member = table.find(key);
    if (member == nullptr)
        return {};
    if (member->value.kind != Kind::string)
        return fail(complain(*member, "must be a string"));
    into = member->value.string;
    return {};
}

Result<void> read(const Value& table, std::string_view key, bool& into) {
    const Member* member = table.find(key);
    if (member == nullptr)
        return {};
    if (member->value.kind != Kind::boolean)
        return fail(complain(*member, "must be true or false"));
    into = member->value.boolean;
    return {};
}

/// "host[:port][/path...]", as prefix and location have it.
bool is_place(std::string_view text) {
    const std::size_t slash = text.find('/');
    return image::is_registry(text.substr(0, slash)) &&
           (slash == std::string_view::npos || image::is_repository(text.substr(slash + 1)));
}

std::string without_slashes(std::string text) {
    while (text.ends_with('/'))
        text.pop_back();
    return text;
}

Result<std::string> read_place(const Value& table, std::string_view key, bool wildcard) {
    std::string text;
    TRY_VOID(read(table, key, text));
    text = without_slashes(std::move(text));
    const bool fits =
        text.empty() || is_place(text) || (wildcard && text.starts_with("*.") && is_place(text.substr(2)));
    if (!fits)
        return fail(complain(*table.find(key), "is no registry with or without a path: '" + printable(text) + "'",
                             "write HOST[:PORT][/PATH], without 'https://'"));
    return text;
}

Result<Mirror> read_mirror(const Value& table, bool digests_only, const Member& whole) {
    Mirror mirror;
    mirror.location = TRY(read_place(table, "location", false));
    if (mirror.location.empty())
        return fail(complain(whole, "has a mirror without a 'location'"));
    TRY_VOID(read(table, "insecure", mirror.insecure));
    std::string usable;
    TRY_VOID(read(table, "pull-from-mirror", usable));
    if (!usable.empty() && digests_only)
        return fail(complain(*table.find("pull-from-mirror"), "can't be used together with 'mirror-by-digest-only'"));
    if (digests_only || usable == "digest-only")
        mirror.usable_for = Mirror::For::digests;
    else if (usable == "tag-only")
        mirror.usable_for = Mirror::For::tags;
    else if (!usable.empty() && usable != "all")
        return fail(complain(*table.find("pull-from-mirror"), "must be 'all', 'digest-only' or 'tag-only'"));
    return mirror;
}

Result<RegistryEntry> read_entry(const Value& table, const Member& whole) {
    RegistryEntry entry;
    if (table.kind != Kind::table)
        return fail(complain(whole, "must be a list of tables: [[registry]]"));
    entry.prefix = TRY(read_place(table, "prefix", true));
    entry.location = TRY(read_place(table, "location", false));
    if (entry.prefix.empty())
        entry.prefix = entry.location;
    if (entry.prefix.empty())
        return fail(complain(whole, "has an entry with neither 'prefix' nor 'location'"));
    if (entry.location.empty() && !entry.prefix.starts_with("*."))
        entry.location = entry.prefix;
    TRY_VOID(read(table, "insecure", entry.insecure));
    TRY_VOID(read(table, "blocked", entry.blocked));
    TRY_VOID(read(table, "mirror-by-digest-only", entry.mirror_by_digest_only));
    if (const Member* mirrors = table.find("mirror")) {
        if (mirrors->value.kind != Kind::array)
            return fail(complain(*mirrors, "must be a list of tables: [[registry.mirror]]"));
        for (const auto& mirror : mirrors->value.items)
            entry.mirrors.push_back(TRY(read_mirror(mirror, entry.mirror_by_digest_only, *mirrors)));
    }
    return entry;
}

Result<void> read_search(const Member& member, std::vector<std::string>& into) {
    if (member.value.kind != Kind::array)
        return fail(complain(member, "must be a list of strings"));
    into.clear();
    for (const auto& item : member.value.items) {
        if (item.kind != Kind::string || !is_place(without_slashes(item.string)))
            return fail(complain(member, "must be a list of registries"));
        into.push_back(without_slashes(item.string));
    }
    return {};
}

Result<void> read_aliases(const Member& member, std::map<std::string, std::string>& into) {
    if (member.value.kind != Kind::table)
        return fail(complain(member, "must be a table: [aliases]"));
    for (const auto& alias : member.value.members) {
        const auto short_name = image::parse_reference(alias.key);
        if (alias.value.kind != Kind::string || !short_name || !short_name->is_short() || !short_name->tag.empty() ||
            short_name->digest)
            return fail(complain(alias, "is no alias", "write \"NAME\" = \"REGISTRY/NAME\", without tags"));
        if (alias.value.string.empty()) // takes back what an earlier file has said
            into.erase(alias.key);
        else
            into[alias.key] = TRY(image::parse_full_name(alias.value.string)
                                      .context(config::to_text(config::Diagnostic{alias.value.at, "alias", {}})))
                                  .name();
    }
    return {};
}

Result<void> read_mode(const Value& document, ShortNameMode& mode) {
    std::string text;
    TRY_VOID(read(document, "short-name-mode", text));
    if (text == "enforcing")
        mode = ShortNameMode::enforcing;
    else if (text == "permissive")
        mode = ShortNameMode::permissive;
    else if (text == "disabled")
        mode = ShortNameMode::disabled;
    else if (!text.empty())
        return fail(complain(*document.find("short-name-mode"), "must be 'enforcing', 'permissive' or 'disabled'"));
    return {};
}

/// *.conf of a folder, in the order of their names.
Result<std::vector<std::string>> drop_ins(const std::string& folder) {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir{::opendir(folder.c_str()), ::closedir};
    std::vector<std::string> files;
    if (!dir)
        return errno == ENOENT || errno == ENOTDIR ? Result<std::vector<std::string>>{files}
                                                   : fail(os_error(errno, "cannot open '" + folder + "'"));
    while (const dirent* entry = ::readdir(dir.get()))
        if (const std::string_view name = entry->d_name; name.ends_with(".conf") && !name.starts_with('.'))
            files.push_back(folder + "/" + std::string{name});
    if (files.size() > most_drop_ins)
        return fail(bad_input("'" + folder + "' has more than " + std::to_string(most_drop_ins) + " files"));
    std::ranges::sort(files);
    return files;
}

Result<void> add_file(RegistriesConf& conf, const std::string& path) {
    auto text = read_file(path);
    if (!text && text.error().code == std::errc::no_such_file_or_directory)
        return {};
    if (!text)
        return fail(std::move(text).error());
    return conf.add(*text, path);
}

} // namespace

Result<void> RegistriesConf::add(std::string_view text, const std::string& file) {
    auto parsed = config::parse_toml(text, file);
    if (!parsed)
        return fail(config::to_error(parsed.error()));
    const Value& document = *parsed;
    if (const Member* old = document.find("registries"))
        return fail(
            complain(*old, "belongs to the first version of this file, which is not read any more",
                     "use 'unqualified-search-registries' and [[registry]]; see containers-registries.conf(5)"));
    if (const Member* member = document.find("unqualified-search-registries"))
        TRY_VOID(read_search(*member, search));
    TRY_VOID(read_mode(document, mode));
    if (const Member* member = document.find("aliases"))
        TRY_VOID(read_aliases(*member, aliases));
    const Member* entries = document.find("registry");
    if (entries == nullptr)
        return {};
    if (entries->value.kind != Kind::array)
        return fail(complain(*entries, "must be a list of tables: [[registry]]"));
    const std::size_t earlier = registries.size();
    std::vector<RegistryEntry> added;
    for (const auto& item : entries->value.items) {
        added.push_back(TRY(read_entry(item, *entries)));
        const std::string& prefix = added.back().prefix;
        if (std::ranges::count(added, prefix, &RegistryEntry::prefix) > 1)
            return fail(complain(*entries, "has two entries for '" + prefix + "'"));
    }
    registries.reserve(earlier + added.size());
    for (auto& entry : added) {
        std::erase_if(registries, [&](const RegistryEntry& other) { return other.prefix == entry.prefix; });
        registries.push_back(std::move(entry));
    }
    return {};
}

RegistriesPaths RegistriesPaths::from_environment() {
    RegistriesPaths paths{"/etc/containers/registries.conf",
                          {"/etc/containers/registries.conf.d"},
                          "/var/cache/containers/short-name-aliases.conf"};
    const char* home = std::getenv("HOME");
    if (::geteuid() != 0 && home != nullptr && *home == '/') {
        const std::string own = std::string{home} + "/.config/containers/registries.conf";
        if (::access(own.c_str(), F_OK) == 0)
            paths.file = own;
        paths.folders.push_back(own + ".d");
        const char* cache = std::getenv("XDG_CACHE_HOME");
        paths.aliases = (cache != nullptr && *cache == '/' ? std::string{cache} : std::string{home} + "/.cache") +
                        "/containers/short-name-aliases.conf";
    }
    if (const char* named = std::getenv("CONTAINERS_REGISTRIES_CONF"); named != nullptr && *named != '\0')
        paths.file = named;
    return paths;
}

Result<RegistriesConf> load_registries(const RegistriesPaths& paths) {
    RegistriesConf conf;
    TRY_VOID(add_file(conf, paths.file));
    for (const auto& folder : paths.folders)
        for (const auto& file : TRY(drop_ins(folder)))
            TRY_VOID(add_file(conf, file));
    if (!paths.aliases.empty())
        TRY_VOID(add_file(conf, paths.aliases));
    return conf;
}

} // namespace ctrd::registry
