// The fields of tar headers: numbers, types, pax records. Pure.
#pragma once

#include "ctrd/image/tar.hpp"

#include <map>

namespace ctrd::image {

/// Octal text, or GNU's binary form; negative ones for dates before 1970.
std::optional<std::int64_t> tar_number(std::string_view field);
std::string until_nul(std::string_view field);
Result<TarEntry::Type> tar_type(char flag, std::string_view path);
/// Mode, owner, time, size and device of a header's 512 bytes.
Result<void> read_numbers(const char* block, bool has_device, TarEntry& entry);
/// Ascending, without overlap, within the file, and together what is stored.
Result<void> check_segments(const TarEntry& entry, std::uint64_t max_size);

/// The records of a pax header.
class PaxRecords {
public:
    Result<void> parse(std::string_view text);
    /// Over what the header itself says.
    Result<void> apply(TarEntry& entry) const;

    [[nodiscard]] bool is_sparse() const;
    [[nodiscard]] bool has_map_in_data() const;
    [[nodiscard]] Result<std::uint64_t> sparse_size() const;
    [[nodiscard]] Result<std::vector<SparseSegment>> sparse_map(std::size_t most) const;

private:
    [[nodiscard]] const std::string* find(std::string_view key) const;
    std::map<std::string, std::string, std::less<>> records_{};
    std::vector<std::pair<std::string, std::string>> xattrs_{};
    std::vector<std::string> old_map_{}; // version 0.0 repeats its keys
};

} // namespace ctrd::image
