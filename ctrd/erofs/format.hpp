// EROFS as it is on the disk, as far as we write it (Linux, Documentation/filesystems/erofs.rst): blocks of 4 KiB,
// nothing compressed or shared, inodes in their extended form. Numbers are little-endian.
//
//     block 0        nothing, the superblock at 1024, the root's inode behind it
//     other blocks   either inodes, each with its attributes and maybe the end of its content behind it, or content
//
// An inode's number is where it begins, in slots of 32 bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace ctrd::erofs {

/// A number as it is on the disk, at any address.
template <class T> class Little {
public:
    Little() = default;
    Little(T value) noexcept { // NOLINT: it is one
        for (std::size_t i = 0; i < sizeof(T); ++i)
            bytes_[i] = static_cast<unsigned char>(value >> (8 * i));
    }
    operator T() const noexcept { // NOLINT
        T value{0};
        for (std::size_t i = 0; i < sizeof(T); ++i)
            value = static_cast<T>(value | static_cast<T>(static_cast<T>(bytes_[i]) << (8 * i)));
        return value;
    }

private:
    std::array<unsigned char, sizeof(T)> bytes_{};
};
using Le16 = Little<std::uint16_t>;
using Le32 = Little<std::uint32_t>;
using Le64 = Little<std::uint64_t>;

inline constexpr std::uint64_t block_size = 4096;
inline constexpr std::uint64_t slot_size = 32;
inline constexpr std::uint64_t most_blocks = std::numeric_limits<std::uint32_t>::max();

inline constexpr std::uint64_t superblock_at = 1024;
inline constexpr std::uint32_t magic = 0xe0f5e1e2;

struct Superblock {
    Le32 magic{erofs::magic};
    Le32 checksum{};             // counts only where a feature says so
    Le32 compatible_features{2}; // inodes have times of their own
    std::uint8_t block_bits{12};
    std::uint8_t extensions{0};
    Le16 root{};
    Le64 inodes{};
    Le64 build_time{};
    Le32 build_nanoseconds{};
    Le32 blocks{};
    Le32 meta_block{};
    Le32 xattr_block{};
    std::array<unsigned char, 16> uuid{};
    std::array<char, 16> volume{};
    Le32 incompatible_features{};
    std::array<unsigned char, 44> nothing{}; // compression, further devices, packed files, names of attributes
};
static_assert(sizeof(Superblock) == 128 && alignof(Superblock) == 1);

inline constexpr std::uint64_t root_at = superblock_at + sizeof(Superblock);
static_assert(root_at % slot_size == 0);

enum class Layout : std::uint16_t {
    plain = 0,     // all of the content is in its blocks
    with_tail = 2, // what does not fill a block is behind the inode, in the same block as the inode's end
};

struct Inode {
    Le16 format{}; // 1: extended; the layout from bit 1 on
    Le16 xattr_count{};
    Le16 mode{};
    Le16 nothing{};
    Le64 size{};
    Le32 block_or_device{};
    Le32 number{};
    Le32 uid{};
    Le32 gid{};
    Le64 seconds{};
    Le32 nanoseconds{};
    Le32 links{};
    std::array<unsigned char, 16> nothing_either{};
};
static_assert(sizeof(Inode) == 64 && alignof(Inode) == 1);

/// In front of an inode's attributes, if it has any.
struct XattrHeader {
    Le32 filter{};
    std::uint8_t shared{0};
    std::array<unsigned char, 7> nothing{};
};
static_assert(sizeof(XattrHeader) == 12);

/// Followed by the name without its prefix, and the value; the next begins at a multiple of four.
struct XattrEntry {
    std::uint8_t name_size{0};
    std::uint8_t prefix{0};
    Le16 value_size{};
};
static_assert(sizeof(XattrEntry) == 4);

/// A block of a folder begins with these, sorted by name; then come the names.
struct Dirent {
    Le64 inode{};
    Le16 name_at{}; // in the block; that of the first says how many there are
    std::uint8_t type{0};
    std::uint8_t nothing{0};
};
static_assert(sizeof(Dirent) == 12);

} // namespace ctrd::erofs
