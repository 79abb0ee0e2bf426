#include "ctrd/erofs/reader.hpp"

#include "ctrd/erofs/xattr_names.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ctrd::erofs {
namespace {

constexpr std::uint64_t largest = std::uint64_t{1} << 62;
constexpr Nid most_slots = largest / slot_size;

Error damaged() { return bad_input("an EROFS file is damaged, or another's"); }

std::uint64_t xattr_bytes(std::uint32_t count) {
    return count == 0 ? 0 : sizeof(XattrHeader) + (std::uint64_t{count} - 1) * 4;
}

void take_device(Node& node, std::uint32_t encoded) {
    node.major = (encoded & 0xfff00) >> 8;
    node.minor = (encoded & 0xff) | ((encoded >> 12) & 0xfff00);
}

/// The inode that a block of a folder has for `name`.
Result<std::optional<Nid>> find_in_block(std::string_view block, std::string_view name) {
    std::size_t count = 1;
    for (std::size_t i = 0; i < count; ++i) {
        Dirent one;
        Dirent next;
        if ((i + 1) * sizeof one > block.size())
            return fail(damaged());
        std::memcpy(&one, block.data() + i * sizeof one, sizeof one);
        if (i == 0)
            count = one.name_at / sizeof one;
        if (count == 0 || count * sizeof one > block.size() || one.name_at > block.size())
            return fail(damaged());
        std::size_t end = block.size();
        if (i + 1 < count) {
            std::memcpy(&next, block.data() + (i + 1) * sizeof next, sizeof next);
            end = next.name_at;
        }
        if (end < one.name_at || end > block.size())
            return fail(damaged());
        std::string_view there = block.substr(one.name_at, end - one.name_at);
        there = there.substr(0, there.find('\0')); // behind the last one the block is empty
        if (there == name)
            return std::optional<Nid>{one.inode};
    }
    return std::optional<Nid>{};
}

} // namespace

Result<Reader> Reader::open(UniqueFd file) {
    Reader reader{std::move(file)};
    Superblock super;
    TRY_VOID(reader.get(superblock_at, &super, sizeof super));
    if (super.magic != magic || super.block_bits != 12 || super.incompatible_features != 0 || super.meta_block != 0 ||
        super.root != root_at / slot_size)
        return fail(damaged());
    return reader;
}

Result<void> Reader::get(std::uint64_t at, void* to, std::size_t size) const {
    auto* next = static_cast<char*>(to);
    while (size > 0) {
        const ssize_t n = at > largest ? 0 : ::pread(file_.get(), next, size, static_cast<off_t>(at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(os_error(errno, "cannot read an EROFS file"));
        if (n == 0)
            return fail(damaged());
        next += n;
        at += static_cast<std::uint64_t>(n);
        size -= static_cast<std::size_t>(n);
    }
    return {};
}

Result<Found> Reader::root() const {
    Found found = TRY(inode(root_at / slot_size));
    return S_ISDIR(found.node.mode) ? Result<Found>{std::move(found)} : fail(damaged());
}

Result<Found> Reader::inode(Nid nid) const {
    Inode inode;
    if (nid > most_slots)
        return fail(damaged());
    TRY_VOID(get(nid * slot_size, &inode, sizeof inode));
    Found found{.nid = nid, .size = inode.size, .xattr_count = inode.xattr_count};
    found.layout = static_cast<Layout>(inode.format >> 1);
    if ((inode.format & 1) == 0 || (found.layout != Layout::plain && found.layout != Layout::with_tail) ||
        found.size > largest)
        return fail(damaged());
    Node& node = found.node;
    node.mode = inode.mode;
    node.uid = inode.uid;
    node.gid = inode.gid;
    node.seconds = static_cast<std::int64_t>(static_cast<std::uint64_t>(inode.seconds));
    node.nanoseconds = inode.nanoseconds;
    node.links = inode.links;
    if (S_ISCHR(node.mode) || S_ISBLK(node.mode))
        take_device(node, inode.block_or_device);
    else
        found.block = inode.block_or_device;
    return found;
}

Result<std::string> Reader::read(const Found& file, std::uint64_t offset, std::size_t most) const {
    std::string data(offset < file.size ? std::min<std::uint64_t>(most, file.size - offset) : 0, '\0');
    const std::uint64_t in_blocks = file.layout == Layout::with_tail ? file.size / block_size * block_size : file.size;
    const std::size_t first =
        offset < in_blocks ? static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), in_blocks - offset)) : 0;
    TRY_VOID(get(file.block * block_size + offset, data.data(), first));
    const std::uint64_t tail = file.nid * slot_size + sizeof(Inode) + xattr_bytes(file.xattr_count);
    if (first < data.size())
        TRY_VOID(get(tail + offset + first - in_blocks, data.data() + first, data.size() - first));
    return data;
}

Result<std::optional<Found>> Reader::find(const Found& folder, std::string_view name) const {
    for (std::uint64_t at = 0; at < folder.size; at += block_size) {
        const std::string block = TRY(read(folder, at, block_size));
        if (const auto nid = TRY(find_in_block(block, name)))
            return std::optional{TRY(inode(*nid))};
    }
    return std::optional<Found>{};
}

Result<Xattrs> Reader::xattrs(const Found& file) const {
    Xattrs result;
    std::string bytes(xattr_bytes(file.xattr_count), '\0');
    TRY_VOID(get(file.nid * slot_size + sizeof(Inode), bytes.data(), bytes.size()));
    for (std::size_t at = sizeof(XattrHeader); at + sizeof(XattrEntry) <= bytes.size();) {
        XattrEntry entry;
        std::memcpy(&entry, bytes.data() + at, sizeof entry);
        at += sizeof entry;
        const std::size_t size = std::size_t{entry.name_size} + entry.value_size;
        const auto* prefix = std::ranges::find(xattr_prefixes, entry.prefix, &XattrPrefix::number);
        if (size > bytes.size() - at || prefix == xattr_prefixes.end())
            return fail(damaged());
        result.emplace_back(std::string{prefix->text} + bytes.substr(at, entry.name_size),
                            bytes.substr(at + entry.name_size, entry.value_size));
        at = (at + size + 3) / 4 * 4;
    }
    return result;
}

} // namespace ctrd::erofs
