#include "tools/ctr-run/journal_link.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"
#include "ctrd/image/paths.hpp"
#include "ctrd/image/stacked.hpp"
#include "tools/ctr-run/commands.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>

namespace ctrd::run {
namespace {

constexpr const char* journal_folder = "/var/log/journal";
constexpr std::size_t id_length = 32;
constexpr std::size_t largest_id_file = 4096;
// systemd reads the second one where the first is empty.
constexpr std::array id_files{"etc/machine-id", "var/lib/dbus/machine-id"};

std::string files_of(const std::string& name) { return std::string{image::default_store} + "/journal/" + name; }

/// Its layers, the one that it writes to first.
Result<std::vector<image::LayerNode>> open_layers(const plan::Stack& stack) {
    std::vector<std::string> paths;
    if (!stack.changes.empty())
        paths.push_back(stack.changes + "/upper");
    for (const std::string& layer : stack.layers)
        paths.push_back(stack.store + "/layers/" + layer);
    std::vector<image::LayerNode> layers;
    for (const std::string& path : paths) {
        UniqueFd layer = TRY(open_at(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW));
        layers.push_back(TRY(image::LayerNode::root(std::move(layer))));
    }
    return layers;
}

Result<std::string> read_from_layers(std::span<const image::LayerNode> layers, const char* path) {
    const std::string place = TRY(image::resolve_in_layers(layers, path));
    if (place.empty())
        return std::string{};
    const image::Found found = TRY(image::find_in_layers(layers, place));
    if (found.kind != image::Found::Kind::other || !S_ISREG(found.node->stat().st_mode))
        return std::string{};
    return found.node->read(largest_id_file);
}

/// The id that the container's own files name; empty where none does. What can't be read names none: the container's
/// systemd can't read it either, or finds something else there by then, and keeps its journal to itself.
Result<std::string> own_id(const Declared& declared, const plan::HostFacts& host) {
    std::vector<image::LayerNode> layers;
    UniqueFd root;
    if (host.stack)
        layers = TRY(open_layers(*host.stack));
    else {
        const std::string& path = declared.spec.root_path;
        root =
            TRY(open_at(AT_FDCWD, path.starts_with('/') ? path : declared.folder + "/" + path, O_PATH | O_DIRECTORY));
    }
    for (const char* file : id_files) {
        const auto text = root ? rooted::read_file(root.get(), file, largest_id_file) : read_from_layers(layers, file);
        if (std::string id = parse_machine_id(text ? *text : std::string{}); !id.empty())
            return id;
    }
    return std::string{};
}

/// Where the link leads; empty for what is none.
std::string target_of(const std::string& path) {
    char target[PATH_MAX];
    const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
    return length < 0 ? std::string{} : std::string{target, static_cast<std::size_t>(length)};
}

/// The ids under which this container's journal has been linked.
Result<std::vector<std::string>> linked_ids(const std::string& name) {
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(journal_folder), ::closedir};
    if (!entries)
        return fail(os_error(errno, std::string{"the host keeps no journal on its disk: '"} + journal_folder + "'",
                             std::string{"'mkdir "} + journal_folder +
                                 "' and 'systemctl restart systemd-journald' make it keep one, or write link-journal = "
                                 "\"try-host\""));
    std::vector<std::string> ids;
    while (const dirent* entry = ::readdir(entries.get()))
        if (std::string id = entry->d_name;
            parse_machine_id(id) == id && target_of(journal_folder + ("/" + id)) == files_of(name))
            ids.push_back(std::move(id));
    return ids;
}

/// As the host's own: its group may read, and what is made in it is its group's.
Result<void> make_folder(const std::string& path) {
    TRY_VOID(make_dirs(path.substr(0, path.rfind('/')), 0700));
    if (::mkdir(path.c_str(), 0755) < 0)
        return errno == EEXIST ? Result<void>{} : fail(os_error(errno, "cannot make the folder '" + path + "'"));
    struct stat st {};
    if (::stat(journal_folder, &st) < 0 || ::lchown(path.c_str(), 0, st.st_gid) < 0 || ::chmod(path.c_str(), 02755) < 0)
        return fail(os_error(errno, "cannot set the owner of '" + path + "'"));
    return {};
}

Result<void> make_link(const std::string& name, const std::string& id) {
    const std::string link = journal_folder + ("/" + id);
    if (::symlink(files_of(name).c_str(), link.c_str()) == 0)
        return {};
    if (errno != EEXIST)
        return fail(os_error(errno, "cannot make the link '" + link + "'"));
    const std::string target = target_of(link);
    if (target == files_of(name))
        return {};
    return fail(Error{std::errc::file_exists,
                      "its machine id is another's: '" + link + "' is " +
                          (target.empty() ? "there, and no link of ours" : "a link to '" + target + "'"),
                      "an empty /etc/machine-id in the container gives it one of its own; what is there and needed by "
                      "nobody can be moved away"});
}

Result<std::string> host_id() { return parse_machine_id(TRY(read_file("/etc/machine-id", largest_id_file))); }

Result<std::string> make(Declared& declared, const plan::HostFacts& host) {
    const std::string& name = declared.name;
    const auto linked = TRY(linked_ids(name));
    std::string id = TRY(own_id(declared, host));
    if (id.empty() && !linked.empty())
        id = linked.front();
    if (const char* invocation = std::getenv("INVOCATION_ID"); id.empty() && invocation != nullptr)
        id = parse_machine_id(invocation);
    if (id.empty())
        return fail(bad_input("it has no machine id"));
    if (id == TRY(host_id()))
        return fail(Error{std::errc::file_exists, "its machine id is the host's own",
                          "an empty /etc/machine-id in the container gives it one of its own"});
    TRY_VOID(make_folder(files_of(name)));
    TRY_VOID(make_link(name, id));
    for (const std::string& other : linked) // of an image that it had before: once is enough
        if (other != id)
            ::unlink((journal_folder + ("/" + other)).c_str());
    oci::Mount mount{journal_folder + ("/" + id), "bind", files_of(name), {}, {}, {}};
    mount.options = {"bind", "rprivate", "nosuid", "nodev", "noexec"};
    if (!declared.spec.uid_mappings.empty())
        mount.options.emplace_back("idmap");
    declared.spec.mounts.push_back(std::move(mount));
    return id;
}

} // namespace

std::string parse_machine_id(std::string_view text) {
    if (text.ends_with('\n'))
        text.remove_suffix(1);
    std::string id{text};
    std::ranges::transform(id, id.begin(), [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c; });
    const bool valid = id.size() == id_length && id.find_first_not_of("0123456789abcdef") == std::string::npos &&
                       id.find_first_not_of('0') != std::string::npos;
    return valid ? id : std::string{};
}

Result<std::string> link_journal(Declared& declared, const plan::HostFacts& host) {
    if (declared.link_journal == LinkJournal::no)
        return std::string{};
    auto made = make(declared, host).context("link-journal");
    if (made || declared.link_journal == LinkJournal::host)
        return made;
    print_warning(declared.name, made.error());
    return std::string{};
}

} // namespace ctrd::run
