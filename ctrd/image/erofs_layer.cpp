#include "ctrd/image/erofs_layer.hpp"

#include "ctrd/image/xattrs.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

namespace ctrd::image {
namespace {

constexpr std::size_t capability_size = 20; // of version 2, the one that is not bound to a user namespace
constexpr char capability_revision = 2;
constexpr std::size_t longest_target = 4095;

Error at_entry(int err, std::string_view doing, const std::string& path) {
    return os_error(err, std::string{doing} + " '" + printable(path) + "'");
}

void set_xattr(erofs::Xattrs& xattrs, const std::string& name, const std::string& value) {
    const auto there = std::ranges::find(xattrs, name, &std::pair<std::string, std::string>::first);
    if (there == xattrs.end())
        xattrs.emplace_back(name, value);
    else
        there->second = value;
}

/// False: what the kernel would make of it when it is set is not as simple as keeping it.
bool is_plain(const std::string& name, const std::string& value) {
    if (name == "security.capability")
        return value.size() == capability_size && value[3] == capability_revision;
    return name.starts_with("user.") && name.find('\0') == std::string::npos;
}

/// Owner, mode and time; nothing where EROFS can't say all that the entry says.
std::optional<erofs::Node> node_of(const TarEntry& entry, std::uint32_t kind, bool has_xattrs) {
    erofs::Node node{.mode = kind | entry.mode,
                     .uid = entry.uid,
                     .gid = entry.gid,
                     .seconds = entry.mtime.seconds,
                     .nanoseconds = entry.mtime.nanoseconds,
                     .major = entry.major,
                     .minor = entry.minor};
    for (const auto& [name, value] : entry.xattrs) {
        if (!has_xattrs || !takes_xattr(name))
            continue;
        if (!is_plain(name, value))
            return {};
        set_xattr(node.xattrs, name, value);
    }
    return erofs::can_say(node) ? std::optional{std::move(node)} : std::nullopt;
}

void each_folder(TreeFolder& folder, const std::function<void(TreeFolder&)>& call) {
    call(folder);
    for (auto& [name, node] : folder.children)
        if (TreeFolder* child = as_folder(node))
            each_folder(*child, call);
}

/// Overlayfs tells file systems apart by it.
std::array<unsigned char, 16> uuid_of(const Digest& chain) {
    std::array<unsigned char, 16> uuid{};
    for (std::size_t i = 0; i < uuid.size(); ++i)
        std::from_chars(chain.hex().data() + 2 * i, chain.hex().data() + 2 * i + 2, uuid[i], 16);
    return uuid;
}

} // namespace

void ErofsLayer::give_up() {
    fits_ = false;
    tree_.clear();
}

Result<void> ErofsLayer::set_folder(TreeFolder& folder, const TarEntry& entry) {
    auto node = node_of(entry, S_IFDIR, true);
    if (!node)
        return give_up(), Result<void>{};
    // Attributes that an earlier entry has set stay.
    erofs::Xattrs xattrs = std::move(folder.attributes.xattrs);
    for (const auto& [name, value] : node->xattrs) {
        set_xattr(xattrs, name, value);
        tree_.hold(name.size() + value.size());
    }
    folder.attributes = *std::move(node);
    folder.attributes.xattrs = std::move(xattrs);
    folder.implied.reset();
    return {};
}

Result<void> ErofsLayer::add_root(const TarEntry& entry) {
    if (entry.type != TarEntry::Type::folder)
        return fail(bad_input("the root of the layer is not a folder"));
    root_is_implied_ = false;
    return set_folder(tree_.root(), entry);
}

/// True if the entry was one: it says what is not there any more and is not itself a file.
Result<bool> ErofsLayer::handle_whiteout(const Place& place) {
    const auto [kind, hidden] = TRY(whiteout_of(place.name, place.path));
    if (kind == Whiteout::Kind::opaque)
        place.folder->is_opaque = true;
    if (kind != Whiteout::Kind::hidden)
        return kind != Whiteout::Kind::none;
    // Whatever this layer itself has put there stays; a folder then hides the one below it.
    const auto [there, is_new] = place.folder->children.try_emplace(hidden, TreeWhiteout{});
    tree_.hold(sizeof(TreeNode) + hidden.size());
    if (TreeFolder* folder = as_folder(there->second); !is_new && folder != nullptr)
        folder->is_opaque = true;
    return true;
}

Result<void> ErofsLayer::add_folder(const TarEntry& entry, const Place& place) {
    const auto there = place.folder->children.find(place.name);
    if (there != place.folder->children.end())
        if (TreeFolder* folder = as_folder(there->second))
            return set_folder(*folder, entry);
    const bool hides = there != place.folder->children.end() && std::holds_alternative<TreeWhiteout>(there->second);
    tree_.remove(*place.folder, place.name);
    TreeFolder& folder = tree_.add_folder(*place.folder, place.name);
    folder.is_opaque = hides;
    return set_folder(folder, entry);
}

void ErofsLayer::keep_file(const Place& place, const erofs::Node& node, erofs::Nid nid, std::string_view target) {
    tree_.remove(*place.folder, place.name);
    auto file = std::make_shared<TreeFile>();
    file->nid = nid;
    file->mode = node.mode;
    if (!target.empty())
        file->target = std::make_unique<std::string>(target);
    tree_.add_file(*place.folder, place.name, std::move(file));
}

/// `tail`: what isn't in blocks goes there.
Result<void> ErofsLayer::put_content(const erofs::Place& where, std::uint64_t offset, std::string_view part,
                                     std::string& tail) {
    const std::uint64_t in_blocks = where.in_blocks();
    const std::size_t first = offset < in_blocks ? std::min<std::uint64_t>(part.size(), in_blocks - offset) : 0;
    if (first < part.size())
        std::memcpy(tail.data() + (offset + first - in_blocks), part.data() + first, part.size() - first);
    return first == 0 ? Result<void>{} : writer_.write(where, offset, part.substr(0, first));
}

Result<void> ErofsLayer::add_file(const TarEntry& entry, const Place& place, TarReader& data) {
    TRY_VOID(check_size(entry, limits_));
    const auto node = node_of(entry, S_IFREG, true);
    if (!node)
        return give_up(), Result<void>{};
    auto reserved = writer_.reserve(*node, entry.size);
    if (!reserved && reserved.error().code == std::errc::file_too_large) // more than one file holds, with all its holes
        return give_up(), Result<void>{};
    const erofs::Place where = TRY(std::move(reserved));
    std::string tail(entry.size - where.in_blocks(), '\0');
    auto written = for_content(entry, data, [&](std::uint64_t offset, std::string_view part) {
        return put_content(where, offset, part, tail);
    });
    if (!written && written.error().code == std::errc::file_too_large) // the store's file system allows less
        return give_up(), Result<void>{};
    TRY_VOID(std::move(written));
    TRY_VOID(writer_.end(where, *node, tail));
    keep_file(place, *node, where.nid, {});
    return {};
}

Result<void> ErofsLayer::add_link(const TarEntry& entry, const Place& place) {
    const std::string target =
        TRY(clean_entry_path(entry.link).context("the target of '" + printable(entry.path) + "'"));
    if (target.empty() || target == place.path)
        return fail(bad_input("'" + printable(entry.path) + "' is a hard link to itself or to the root"));
    const std::size_t slash = target.rfind('/');
    const std::string in = slash == std::string::npos ? "" : target.substr(0, slash);
    const std::string name = target.substr(slash == std::string::npos ? 0 : slash + 1);
    using End = LayerTree::Walk::End;
    const auto walked = tree_.walk(in);
    if (walked.end == End::no_folder || walked.end == End::too_many_links)
        return fail(
            at_entry(walked.end == End::no_folder ? ENOTDIR : ELOOP, "cannot look at the target of", entry.path));
    if (walked.end == End::missing || !walked.folder->children.contains(name))
        return give_up(), Result<void>{}; // a lower layer's, or nothing
    const auto* found = std::get_if<std::shared_ptr<TreeFile>>(&walked.folder->children.find(name)->second);
    if (found == nullptr)
        return fail(bad_input("'" + printable(entry.path) + "' is a hard link to '" + printable(target) +
                              "', which is a folder or deleted"));
    const std::shared_ptr<TreeFile> file = *found;
    tree_.remove(*place.folder, place.name);
    const auto still = tree_.walk(in); // it may have been in a folder that had the link's name, or have had it itself
    if (still.end != End::there || !still.folder->children.contains(name))
        return fail(at_entry(ENOENT, "cannot make the hard link", entry.path));
    tree_.add_file(*place.folder, place.name, file);
    return {};
}

/// Symbolic links, devices and FIFOs.
Result<void> ErofsLayer::add_special(const TarEntry& entry, const Place& place) {
    using Type = TarEntry::Type;
    if (entry.type == Type::symlink) {
        if (entry.link.empty() || entry.link.size() > longest_target)
            return fail(at_entry(entry.link.empty() ? EINVAL : ENAMETOOLONG, "cannot make", entry.path));
        TarEntry link = entry;
        link.mode = 0777;
        const auto node = node_of(link, S_IFLNK, false);
        return write_file(place, *node, entry.link);
    }
    const bool device = entry.type != Type::fifo;
    if (device && entry.major == 0 && entry.minor == 0)
        return fail(bad_input("'" + printable(entry.path) + "' is a device 0:0, which means a deleted file here"));
    const std::uint32_t kind = entry.type == Type::character ? S_IFCHR : entry.type == Type::block ? S_IFBLK : S_IFIFO;
    const auto node = node_of(entry, kind, false);
    return node ? write_file(place, *node, {}) : (give_up(), Result<void>{});
}

Result<void> ErofsLayer::write_file(const Place& place, const erofs::Node& node, std::string_view content) {
    const erofs::Place where = TRY(writer_.reserve(node, content.size()));
    TRY_VOID(writer_.write(where, 0, content.substr(0, where.in_blocks())));
    TRY_VOID(writer_.end(where, node, content.substr(where.in_blocks())));
    keep_file(place, node, where.nid, content);
    return {};
}

Result<void> ErofsLayer::add(const TarEntry& entry, TarReader& data) {
    TRY_VOID(tree_.count_entry());
    if (tree_.is_too_much())
        give_up();
    if (!fits_)
        return {};
    Place place;
    place.path = TRY(clean_entry_path(entry.path));
    if (place.path.empty())
        return add_root(entry);
    const std::size_t slash = place.path.rfind('/');
    place.name = place.path.substr(slash == std::string::npos ? 0 : slash + 1);
    place.folder = TRY(tree_.folder(slash == std::string::npos ? "" : place.path.substr(0, slash)));
    if (TRY(handle_whiteout(place)))
        return {};
    switch (entry.type) {
    case TarEntry::Type::folder:
        return add_folder(entry, place);
    case TarEntry::Type::file:
        return add_file(entry, place, data);
    case TarEntry::Type::hard_link:
        return add_link(entry, place);
    default:
        return add_special(entry, place);
    }
}

// --- when the layers below are there ------------------------------------------------------------------------------

/// False: what is below is a link, and a folder would move to where that leads.
Result<bool> ErofsLayer::take_attributes(TreeFolder& folder, std::span<const LayerNode> lowers) {
    const std::string path = folder.implied ? *folder.implied : "";
    const Found below = TRY(find_in_layers(lowers, path));
    if (below.kind == Found::Kind::link && below.path == path)
        return false;
    if (below.kind != Found::Kind::folder)
        return true; // root's, of 1970: as good as any, and the same each time
    const struct stat& st = below.node->stat();
    erofs::Node& to = folder.attributes;
    to.mode = S_IFDIR | (st.st_mode & 07777);
    to.uid = st.st_uid;
    to.gid = st.st_gid;
    to.seconds = st.st_mtim.tv_sec;
    to.nanoseconds = static_cast<std::uint32_t>(st.st_mtim.tv_nsec);
    for (const auto& [name, value] : TRY(below.node->xattrs()))
        set_xattr(to.xattrs, name, value);
    return true;
}

namespace {

struct Written {
    TreeFolder* folder{nullptr};
    erofs::Place place{};
    erofs::Writer::Children children{};
};

} // namespace

/// What it wants to know of its folders it learns when they have their numbers: room for all of them first.
Result<void> ErofsLayer::write_folders() {
    // Children come behind their folder.
    std::vector<Written> written;
    std::map<const TreeFolder*, std::size_t> at;
    each_folder(tree_.root(), [&](TreeFolder& folder) {
        at[&folder] = written.size();
        written.push_back({&folder});
    });
    std::vector<std::shared_ptr<TreeFile>> linked;
    for (Written& one : written) {
        erofs::Node& attributes = one.folder->attributes;
        attributes.links = 2;
        one.children.reserve(one.folder->children.size());
        for (auto& [name, node] : one.folder->children) {
            if (const auto* file = std::get_if<std::shared_ptr<TreeFile>>(&node)) {
                one.children.push_back({name, (*file)->nid, (*file)->mode});
                if (++(*file)->links == 2)
                    linked.push_back(*file);
            } else if (TreeFolder* child = as_folder(node)) {
                one.children.push_back({name, at.at(child), S_IFDIR}); // its number comes later
                ++attributes.links;
            } else {
                const erofs::Node whiteout{.mode = S_IFCHR};
                const erofs::Place where = TRY(writer_.reserve(whiteout, 0));
                TRY_VOID(writer_.end(where, whiteout, {}));
                one.children.push_back({name, where.nid, S_IFCHR});
            }
        }
    }
    for (const auto& file : linked)
        TRY_VOID(writer_.set_links(file->nid, file->links));
    for (Written& one : written) {
        const bool is_root = one.folder == &tree_.root();
        one.place = is_root ? TRY(writer_.reserve_root(one.folder->attributes, one.children))
                            : TRY(writer_.reserve_folder(one.folder->attributes, one.children));
    }
    for (Written& one : written) {
        for (erofs::Writer::Child& child : one.children)
            if (S_ISDIR(child.mode))
                child.nid = written[child.nid].place.nid;
        TRY_VOID(writer_.write_folder(one.place, one.folder->attributes, one.children,
                                      written[at.at(one.folder->parent)].place.nid));
    }
    return {};
}

Result<bool> ErofsLayer::settle(std::span<const LayerNode> lowers, const Digest& chain) {
    if (!fits_ || tree_.is_too_much())
        return false;
    std::vector<TreeFolder*> folders;
    each_folder(tree_.root(), [&](TreeFolder& folder) { folders.push_back(&folder); });
    for (TreeFolder* folder : folders) {
        if (folder->implied || (folder == &tree_.root() && root_is_implied_))
            fits_ = fits_ && TRY(take_attributes(*folder, lowers));
        if (folder->is_opaque)
            set_xattr(folder->attributes.xattrs, opaque_name, "y");
        // In one order, whatever the layer below lists them in; entries that name a folder again have added to them.
        std::ranges::sort(folder->attributes.xattrs);
        fits_ = fits_ && erofs::can_say(folder->attributes);
    }
    if (!fits_ || !erofs::can_be_root(tree_.root().attributes))
        return false;
    TRY_VOID(write_folders());
    TRY_VOID(writer_.finish(uuid_of(chain)));
    tree_.clear();
    return true;
}

} // namespace ctrd::image
