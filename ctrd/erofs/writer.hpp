// Writes an EROFS file while what goes into it comes: a file's content at once, its inode behind it, folders at the
// end. What is written depends on the calls alone, so the same layer is the same file each time.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/erofs/format.hpp"
#include "ctrd/erofs/node.hpp"

#include <array>
#include <string_view>

namespace ctrd::erofs {

/// Whether an inode can say all of that: attributes may be too large, and a device's number.
bool can_say(const Node& node) noexcept;
/// The root has the room that the superblock leaves in its block.
bool can_be_root(const Node& node) noexcept;

/// Where a file's inode and content are.
struct Place {
    Nid nid{0};
    std::uint64_t size{0};
    std::uint32_t block{0}; // of the content
    bool has_tail{false};   // the end of the content is with the inode
    [[nodiscard]] std::uint64_t in_blocks() const noexcept { return has_tail ? size / block_size * block_size : size; }
};

class Writer {
public:
    /// `file`: an empty one, open for writing.
    explicit Writer(int file) : file_{file} {}

    /// Room for a file, device, FIFO or link. Its content may come then, and the inode has to.
    Result<Place> reserve(const Node& node, std::uint64_t size);
    /// The content that goes to its blocks; what isn't written is zeros.
    Result<void> write(const Place& place, std::uint64_t offset, std::string_view data);
    /// `tail`: the content from in_blocks() on.
    Result<void> end(const Place& place, const Node& node, std::string_view tail);

    /// An inode that was written has so many names.
    Result<void> set_links(Nid nid, std::uint32_t links);

    struct Child {
        std::string_view name{};
        Nid nid{0};
        std::uint32_t mode{0};
    };
    using Children = std::vector<Child>;
    /// Room for a folder with these names, which are sorted, besides "." and "..".
    Result<Place> reserve_folder(const Node& node, const Children& children);
    Result<Place> reserve_root(const Node& node, const Children& children);
    Result<void> write_folder(const Place& place, const Node& node, const Children& children, Nid parent);

    /// The root has been written.
    Result<void> finish(const std::array<unsigned char, 16>& uuid);

private:
    Result<std::uint32_t> take_blocks(std::uint64_t count);
    Result<std::uint32_t> take_content(const Place& place);
    Result<Nid> take_slots(std::uint64_t bytes);
    Result<void> put(std::uint64_t at, std::string_view data);
    Result<void> flush();

    int file_;
    std::uint64_t inodes_{0};
    std::uint64_t next_block_{1};
    std::uint64_t inode_block_{0}; // where inodes are put now, kept in memory until it is full; 0: none yet
    std::uint64_t inode_room_{0};  // what of it is taken
    std::array<char, block_size> inode_bytes_{};
};

} // namespace ctrd::erofs
