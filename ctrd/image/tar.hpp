// Reads tar as image builders write it: ustar, pax, GNU's long names and sparse files. The input is hostile: every
// length is bounded before memory is taken for it, names are whole strings without NUL, numbers do not wrap.
//
// Our own rather than libarchive's: that one converts names between character sets by the process' locale and drops
// what it can't convert, where a layer's names are bytes.
#pragma once

#include "ctrd/base/result.hpp"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace ctrd::image {

/// Bytes in the pieces in which they come.
class ChunkSource {
public:
    virtual ~ChunkSource() = default;
    /// Valid until the next call; empty at the end.
    virtual Result<std::string_view> next() = 0;
    /// Passes over `size` bytes without reading them; false where that can't be done.
    virtual Result<bool> jump(std::uint64_t) { return false; }
};

struct TarTime {
    std::int64_t seconds{0};
    std::uint32_t nanoseconds{0};
};

struct SparseSegment {
    std::uint64_t offset{0};
    std::uint64_t length{0};
};

struct TarEntry {
    enum class Type { file, hard_link, symlink, character, block, folder, fifo };
    Type type{Type::file};
    std::string path{}; // as written
    std::string link{};
    std::uint32_t mode{0};
    std::uint32_t uid{0};
    std::uint32_t gid{0};
    std::uint32_t major{0}, minor{0};
    TarTime mtime{};
    std::optional<TarTime> atime{};
    std::uint64_t stored_size{0}; // of the data that follows
    std::uint64_t size{0};        // of the file
    bool sparse{false};
    std::vector<SparseSegment> segments{}; // ascending; together stored_size
    std::vector<std::pair<std::string, std::string>> xattrs{};
};

class TarReader {
public:
    explicit TarReader(ChunkSource& source) : source_{source} {}

    /// The next entry, or none at the end of the archive. What is left of the last one's data is passed over.
    Result<std::optional<TarEntry>> next();
    /// The next piece of the entry's data; empty when there is no more.
    Result<std::string_view> data();
    /// Bytes of the archive read so far.
    [[nodiscard]] std::uint64_t position() const { return position_; }

private:
    struct Extended;
    struct Block;
    Result<std::string_view> piece(std::uint64_t most);
    Result<bool> read_block(Block& block);
    Result<std::string> read_text(std::uint64_t size);
    Result<void> skip(std::uint64_t size);
    Result<void> skip_padding();
    Result<TarEntry> entry_of(const Block& block, Extended& extended);
    Result<void> add_old_sparse(const Block& block, TarEntry& entry);
    Result<void> add_pax_sparse(Extended& extended, TarEntry& entry);
    Result<void> read_sparse_map(TarEntry& entry);

    ChunkSource& source_;
    std::string_view chunk_{};
    bool ended_{false};
    std::uint64_t position_{0};
    std::uint64_t data_left_{0};
    std::uint32_t padding_{0};
};

} // namespace ctrd::image
