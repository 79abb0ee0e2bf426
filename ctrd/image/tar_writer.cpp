#include "ctrd/image/tar_writer.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

namespace ctrd::image {
namespace {

constexpr std::size_t block_size = 512;
constexpr std::uint64_t max_octal_size = (std::uint64_t{1} << 33) - 1; // eleven digits
constexpr std::uint32_t max_octal_id = (1U << 21) - 1;                 // seven
constexpr std::size_t max_name = 100;

std::uint32_t padding_of(std::uint64_t size) {
    return static_cast<std::uint32_t>((block_size - size % block_size) % block_size);
}

/// "LENGTH KEY=VALUE\n", where the length counts itself.
void add_record(std::string& records, std::string_view key, std::string_view value) {
    const std::size_t rest = key.size() + value.size() + 3;
    std::size_t length = rest + std::to_string(rest).size();
    length = rest + std::to_string(length).size();
    records += std::to_string(length);
    records.append(" ").append(key).append("=").append(value).append("\n");
}

bool fits_header(const TarTime& time) {
    return time.nanoseconds == 0 && time.seconds >= 0 && static_cast<std::uint64_t>(time.seconds) <= max_octal_size;
}

/// Before 1970 the fraction counts towards zero: -1.5 is half a second before -1.
std::string time_text(const TarTime& time) {
    const bool backwards = time.seconds < 0 && time.nanoseconds > 0;
    const std::int64_t seconds = backwards ? time.seconds + 1 : time.seconds;
    const std::uint32_t fraction = backwards ? 1'000'000'000 - time.nanoseconds : time.nanoseconds;
    char text[48];
    std::snprintf(text, sizeof text, "%s%lld.%09u", backwards && seconds == 0 ? "-" : "",
                  static_cast<long long>(seconds), fraction);
    return text;
}

char type_of(TarEntry::Type type) {
    using Type = TarEntry::Type;
    switch (type) {
    case Type::file:
        return '0';
    case Type::hard_link:
        return '1';
    case Type::symlink:
        return '2';
    case Type::character:
        return '3';
    case Type::block:
        return '4';
    case Type::folder:
        return '5';
    case Type::fifo:
        return '6';
    }
    std::unreachable();
}

class Block {
public:
    void text(std::size_t offset, std::string_view value, std::size_t most) {
        std::memcpy(bytes_.data() + offset, value.data(), std::min(value.size(), most));
    }
    void octal(std::size_t offset, std::size_t length, std::uint64_t value) {
        char digits[24];
        std::snprintf(digits, sizeof digits, "%0*llo", static_cast<int>(length - 1),
                      static_cast<unsigned long long>(value));
        text(offset, digits, length - 1);
    }
    std::string_view finished() {
        std::memset(bytes_.data() + 148, ' ', 8);
        unsigned sum = 0;
        for (const char c : bytes_)
            sum += static_cast<unsigned char>(c);
        octal(148, 7, sum);
        bytes_[154] = '\0';
        return {bytes_.data(), bytes_.size()};
    }

private:
    std::array<char, block_size> bytes_{};
};

/// Version 1.0: the map in front of the data, decimal and padded to whole blocks.
std::string sparse_map(const TarEntry& entry) {
    std::string map = std::to_string(entry.segments.size()) + "\n";
    for (const SparseSegment& segment : entry.segments)
        map += std::to_string(segment.offset) + "\n" + std::to_string(segment.length) + "\n";
    map.resize(map.size() + padding_of(map.size()));
    return map;
}

std::uint64_t stored_size(const TarEntry& entry) {
    if (entry.type != TarEntry::Type::file)
        return 0;
    if (!entry.sparse)
        return entry.size;
    std::uint64_t size = 0;
    for (const SparseSegment& segment : entry.segments)
        size += segment.length;
    return size;
}

std::string pax_records(const TarEntry& entry, std::string_view path, std::uint64_t size) {
    std::string records;
    if (path.size() > max_name)
        add_record(records, "path", path);
    if (entry.link.size() > max_name)
        add_record(records, "linkpath", entry.link);
    if (entry.uid > max_octal_id)
        add_record(records, "uid", std::to_string(entry.uid));
    if (entry.gid > max_octal_id)
        add_record(records, "gid", std::to_string(entry.gid));
    if (size > max_octal_size)
        add_record(records, "size", std::to_string(size));
    if (!fits_header(entry.mtime))
        add_record(records, "mtime", time_text(entry.mtime));
    if (entry.sparse) {
        add_record(records, "GNU.sparse.major", "1");
        add_record(records, "GNU.sparse.minor", "0");
        add_record(records, "GNU.sparse.name", entry.path);
        add_record(records, "GNU.sparse.realsize", std::to_string(entry.size));
    }
    for (const auto& [name, value] : entry.xattrs)
        add_record(records, "SCHILY.xattr." + name, value);
    return records;
}

} // namespace

Result<void> TarWriter::zeros(std::uint64_t size) {
    static constexpr std::array<char, 4096> nothing{};
    while (size > 0) {
        const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(size, nothing.size()));
        TRY_VOID(sink_({nothing.data(), part}));
        size -= part;
    }
    return {};
}

Result<void> TarWriter::header(const TarEntry& entry, std::string_view path, char type, std::uint64_t size) {
    Block block;
    block.text(0, path, max_name);
    block.octal(100, 8, entry.mode & 07777);
    block.octal(108, 8, entry.uid <= max_octal_id ? entry.uid : 0);
    block.octal(116, 8, entry.gid <= max_octal_id ? entry.gid : 0);
    block.octal(124, 12, size <= max_octal_size ? size : 0);
    const bool time_fits =
        entry.mtime.seconds >= 0 && static_cast<std::uint64_t>(entry.mtime.seconds) <= max_octal_size;
    block.octal(136, 12, time_fits ? static_cast<std::uint64_t>(entry.mtime.seconds) : 0);
    block.text(156, {&type, 1}, 1);
    block.text(157, entry.link, max_name);
    block.text(257, {"ustar\00000", 8}, 8);
    if (type == '3' || type == '4') {
        block.octal(329, 8, entry.major);
        block.octal(337, 8, entry.minor);
    }
    return sink_(block.finished());
}

Result<void> TarWriter::add(const TarEntry& entry) {
    TRY_VOID(fill());
    const std::string map = entry.sparse ? sparse_map(entry) : "";
    const std::uint64_t size = map.size() + stored_size(entry);
    std::string path = entry.path;
    if (entry.type == TarEntry::Type::folder && !path.ends_with('/'))
        path += '/';
    if (const std::string records = pax_records(entry, path, size); !records.empty()) {
        TarEntry extended;
        extended.mode = 0644;
        TRY_VOID(header(extended, "pax-header", 'x', records.size()));
        TRY_VOID(sink_(records));
        TRY_VOID(zeros(padding_of(records.size())));
    }
    TRY_VOID(header(entry, path, type_of(entry.type), size));
    missing_ = size;
    padding_ = padding_of(size);
    return map.empty() ? Result<void>{} : data(map);
}

Result<void> TarWriter::data(std::string_view bytes) {
    missing_ -= bytes.size();
    TRY_VOID(sink_(bytes));
    return missing_ == 0 ? zeros(std::exchange(padding_, 0)) : Result<void>{};
}

Result<void> TarWriter::fill() {
    TRY_VOID(zeros(std::exchange(missing_, 0)));
    return zeros(std::exchange(padding_, 0));
}

Result<void> TarWriter::finish() {
    TRY_VOID(fill());
    return zeros(2 * block_size);
}

Result<void> add_text(TarWriter& to, const std::string& path, std::string_view text) {
    TarEntry entry;
    entry.path = path;
    entry.mode = 0644;
    entry.size = text.size();
    TRY_VOID(to.add(entry));
    return text.empty() ? Result<void>{} : to.data(text);
}

} // namespace ctrd::image
