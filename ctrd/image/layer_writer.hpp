// Where a layer's entries go while they are read.
#pragma once

#include "ctrd/image/budget.hpp"
#include "ctrd/image/tar.hpp"

#include <functional>

namespace ctrd::image {

struct LayerLimits {
    std::uint64_t bytes{std::uint64_t{64} << 30};     // of the archive, and of data written
    std::uint64_t file_size{std::uint64_t{16} << 40}; // a sparse file's length costs nothing, but tools choke on it
    std::uint64_t entries{4'000'000};
    std::uint64_t ratio{400}; // of the archive to its compressed form, checked above ratio_from
    std::uint64_t ratio_from{std::uint64_t{1} << 28};
    BudgetRef budget{}; // what the store may still take
};

/// How much of a layer has come, by its entries and by what they only imply: one entry with a deep path makes thousands
/// of folders.
class LayerCount {
public:
    explicit LayerCount(const LayerLimits& limits) : most_entries_{limits.entries} {}
    Result<void> add_entry();
    /// A folder that no entry has named yet; its path is remembered.
    Result<void> add_implied(const std::string& path);

private:
    std::uint64_t most_entries_;
    std::uint64_t entries_{0};
    std::uint64_t implied_bytes_{0};
};

class LayerWriter {
public:
    LayerWriter() = default;
    LayerWriter(const LayerWriter&) = delete;
    LayerWriter& operator=(const LayerWriter&) = delete;
    virtual ~LayerWriter() = default;

    virtual Result<void> add(const TarEntry& entry, TarReader& data) = 0;
    /// After the last entry.
    virtual Result<void> finish() = 0;
};

/// A path without "." and doubled slashes, without a leading one; ".." is refused.
Result<std::string> clean_entry_path(std::string_view path);

Result<void> check_size(const TarEntry& entry, const LayerLimits& limits);

/// Calls for the pieces of a regular file's content, each with where it belongs; what is in none is zeros.
Result<void> for_content(const TarEntry& entry, TarReader& data,
                         const std::function<Result<void>(std::uint64_t offset, std::string_view)>& sink);

/// The names that say what is deleted (OCI image-spec, layer.md, "Whiteouts").
struct Whiteout {
    enum class Kind {
        none,
        opaque, // all that is in its folder below
        hidden, // `name`
        ignored // aufs' own bookkeeping
    };
    Kind kind{Kind::none};
    std::string name{};
};
/// `path`: the entry's, for the message.
Result<Whiteout> whiteout_of(const std::string& name, const std::string& path);

} // namespace ctrd::image
