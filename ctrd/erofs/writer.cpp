#include "ctrd/erofs/writer.hpp"

#include "ctrd/erofs/xattr_names.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>

namespace ctrd::erofs {
namespace {

constexpr std::size_t longest_xattr_name = 255;         // the kernel's, with its prefix
constexpr std::uint64_t worth_a_block = block_size / 2; // a tail that would leave that much of a block empty

std::uint64_t aligned(std::uint64_t size, std::uint64_t to) { return (size + to - 1) / to * to; }

template <class T> std::string_view bytes_of(const T& one) { return {reinterpret_cast<const char*>(&one), sizeof one}; }

std::uint64_t xattr_bytes(const Xattrs& xattrs) {
    std::uint64_t size = xattrs.empty() ? 0 : sizeof(XattrHeader);
    for (const auto& [name, value] : xattrs)
        size += aligned(sizeof(XattrEntry) + split_xattr_name(name).rest.size() + value.size(), 4);
    return size;
}

/// As the kernel counts them.
std::uint64_t xattr_count(const Xattrs& xattrs) {
    return xattrs.empty() ? 0 : (xattr_bytes(xattrs) - sizeof(XattrHeader)) / 4 + 1;
}

void add_xattrs(std::string& to, const Xattrs& xattrs) {
    if (xattrs.empty())
        return;
    to += bytes_of(XattrHeader{});
    for (const auto& [name, value] : xattrs) {
        const auto [prefix, rest] = split_xattr_name(name);
        to += bytes_of(
            XattrEntry{static_cast<std::uint8_t>(rest.size()), prefix, static_cast<std::uint16_t>(value.size())});
        (to += rest) += value;
        to.resize(aligned(to.size(), 4));
    }
}

std::uint64_t inode_bytes(const Node& node) { return sizeof(Inode) + xattr_bytes(node.xattrs); }

bool is_device(const Node& node) { return S_ISCHR(node.mode) || S_ISBLK(node.mode); }

/// new_encode_dev() of the kernel.
std::uint32_t encoded(std::uint32_t major, std::uint32_t minor) {
    return (minor & 0xff) | (major << 8) | ((minor & ~0xffU) << 12);
}

std::uint8_t dirent_type(std::uint32_t mode) {
    switch (mode & S_IFMT) {
    case S_IFREG:
        return 1;
    case S_IFDIR:
        return 2;
    case S_IFCHR:
        return 3;
    case S_IFBLK:
        return 4;
    case S_IFIFO:
        return 5;
    case S_IFLNK:
        return 7;
    default:
        return 0;
    }
}

Writer::Children with_dots(Writer::Children children, Nid self, Nid parent) {
    for (const Writer::Child& one : {Writer::Child{".", self, S_IFDIR}, Writer::Child{"..", parent, S_IFDIR}})
        children.insert(std::ranges::lower_bound(children, one.name, {}, &Writer::Child::name), one);
    return children;
}

/// Calls for the names of each block, in which they fit with their entries.
template <class Sink> void in_blocks(std::span<const Writer::Child> children, Sink sink) {
    std::uint64_t used = 0;
    std::size_t first = 0;
    for (std::size_t i = 0; i < children.size(); ++i) {
        const std::uint64_t size = sizeof(Dirent) + children[i].name.size();
        if (used + size > block_size) {
            sink(children.subspan(first, i - first), used);
            first = i;
            used = 0;
        }
        used += size;
    }
    sink(children.subspan(first), used);
}

std::uint64_t folder_size(const Writer::Children& children) {
    std::uint64_t size = 0;
    in_blocks(with_dots(children, 0, 0), [&](auto, std::uint64_t used) { size = aligned(size, block_size) + used; });
    return size;
}

std::string folder_content(const Writer::Children& children) {
    std::string content;
    in_blocks(children, [&](std::span<const Writer::Child> some, std::uint64_t) {
        content.resize(aligned(content.size(), block_size));
        std::uint64_t name_at = some.size() * sizeof(Dirent);
        for (const Writer::Child& one : some) {
            content += bytes_of(Dirent{one.nid, static_cast<std::uint16_t>(name_at), dirent_type(one.mode)});
            name_at += one.name.size();
        }
        for (const Writer::Child& one : some)
            content += one.name;
    });
    return content;
}

} // namespace

bool can_say(const Node& node) noexcept {
    if (is_device(node) && (node.major >= 1U << 12 || node.minor >= 1U << 20))
        return false;
    for (const auto& [name, value] : node.xattrs) {
        const auto [prefix, rest] = split_xattr_name(name);
        if (prefix == 0 || name.size() > longest_xattr_name || value.size() > 65535)
            return false;
    }
    return xattr_count(node.xattrs) <= 65535;
}

bool can_be_root(const Node& node) noexcept { return root_at + inode_bytes(node) <= block_size; }

Result<std::uint32_t> Writer::take_blocks(std::uint64_t count) {
    if (count > most_blocks - next_block_)
        return fail(Error{std::errc::file_too_large, "more than 16 TiB are too much for one EROFS file"});
    const auto first = static_cast<std::uint32_t>(next_block_);
    next_block_ += count;
    return first;
}

Result<std::uint32_t> Writer::take_content(const Place& place) {
    const std::uint64_t blocks = aligned(place.in_blocks(), block_size) / block_size;
    return blocks == 0 ? Result<std::uint32_t>{0U} : take_blocks(blocks);
}

/// For inodes: in the block that is open for them, or in the next.
Result<Nid> Writer::take_slots(std::uint64_t bytes) {
    if (bytes > block_size)
        return Nid{TRY(take_blocks(aligned(bytes, block_size) / block_size))} * (block_size / slot_size);
    if (inode_block_ == 0 || inode_room_ + bytes > block_size) {
        TRY_VOID(flush());
        inode_block_ = TRY(take_blocks(1));
        inode_room_ = 0;
    }
    const Nid nid = (inode_block_ * block_size + inode_room_) / slot_size;
    inode_room_ = aligned(inode_room_ + bytes, slot_size);
    return nid;
}

Result<void> Writer::put(std::uint64_t at, std::string_view data) {
    if (inode_block_ != 0 && at / block_size == inode_block_) {
        std::memcpy(inode_bytes_.data() + at % block_size, data.data(), data.size());
        return {};
    }
    while (!data.empty()) {
        const ssize_t n = ::pwrite(file_, data.data(), data.size(), static_cast<off_t>(at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(os_error(errno, "cannot write an EROFS file"));
        at += static_cast<std::uint64_t>(n);
        data.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

Result<void> Writer::flush() {
    const std::uint64_t block = std::exchange(inode_block_, 0);
    if (block != 0)
        TRY_VOID(put(block * block_size, {inode_bytes_.data(), inode_bytes_.size()}));
    inode_bytes_.fill(0);
    return {};
}

Result<Place> Writer::reserve(const Node& node, std::uint64_t size) {
    const std::uint64_t inode = inode_bytes(node);
    const std::uint64_t tail = size % block_size;
    Place place{.size = size, .has_tail = tail > 0 && inode + tail <= block_size};
    if (tail > worth_a_block && inode_room_ + inode + tail > block_size)
        place.has_tail = false;
    place.nid = TRY(take_slots(inode + (place.has_tail ? tail : 0)));
    place.block = TRY(take_content(place));
    return place;
}

Result<void> Writer::write(const Place& place, std::uint64_t offset, std::string_view data) {
    return put(place.block * block_size + offset, data);
}

Result<void> Writer::end(const Place& place, const Node& node, std::string_view tail) {
    const auto layout = static_cast<std::uint16_t>(place.has_tail ? Layout::with_tail : Layout::plain);
    Inode inode;
    inode.format = static_cast<std::uint16_t>(1 | layout << 1);
    inode.xattr_count = static_cast<std::uint16_t>(xattr_count(node.xattrs));
    inode.mode = static_cast<std::uint16_t>(node.mode);
    inode.size = place.size;
    inode.block_or_device = is_device(node) ? encoded(node.major, node.minor) : place.block;
    inode.number = static_cast<std::uint32_t>(place.nid);
    inode.uid = node.uid;
    inode.gid = node.gid;
    inode.seconds = static_cast<std::uint64_t>(node.seconds);
    inode.nanoseconds = node.nanoseconds;
    inode.links = node.links;
    std::string bytes{bytes_of(inode)};
    add_xattrs(bytes, node.xattrs);
    bytes += tail;
    ++inodes_;
    return put(place.nid * slot_size, bytes);
}

Result<void> Writer::set_links(Nid nid, std::uint32_t links) {
    const Le32 value{links};
    return put(nid * slot_size + offsetof(Inode, links), bytes_of(value));
}

Result<Place> Writer::reserve_folder(const Node& node, const Children& children) {
    return reserve(node, folder_size(children));
}

Result<Place> Writer::reserve_root(const Node& node, const Children& children) {
    const std::uint64_t size = folder_size(children);
    Place place{.nid = root_at / slot_size, .size = size};
    place.has_tail = size % block_size > 0 && root_at + inode_bytes(node) + size % block_size <= block_size;
    place.block = TRY(take_content(place));
    return place;
}

Result<void> Writer::write_folder(const Place& place, const Node& node, const Children& children, Nid parent) {
    const std::string content = folder_content(with_dots(children, place.nid, parent));
    TRY_VOID(write(place, 0, std::string_view{content}.substr(0, place.in_blocks())));
    return end(place, node, std::string_view{content}.substr(place.in_blocks()));
}

Result<void> Writer::finish(const std::array<unsigned char, 16>& uuid) {
    TRY_VOID(flush());
    Superblock super;
    super.root = static_cast<std::uint16_t>(root_at / slot_size);
    super.inodes = inodes_;
    super.blocks = static_cast<std::uint32_t>(next_block_);
    super.uuid = uuid;
    TRY_VOID(put(superblock_at, bytes_of(super)));
    if (::ftruncate(file_, static_cast<off_t>(next_block_ * block_size)) < 0)
        return fail(os_error(errno, "cannot set the size of an EROFS file"));
    return {};
}

} // namespace ctrd::erofs
