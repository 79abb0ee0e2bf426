#include "ctrd/image/tar_fields.hpp"

#include "ctrd/base/text.hpp"

#include <algorithm>
#include <limits>

namespace ctrd::image {
namespace {

constexpr std::string_view xattr_prefix = "SCHILY.xattr.";

Error broken(std::string_view what) { return bad_input("the tar archive is damaged: " + std::string{what}); }

std::optional<std::int64_t> binary_number(std::string_view field) {
    const auto first = static_cast<unsigned char>(field.front());
    const bool negative = (first & 0x40) != 0;
    std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
    for (std::size_t i = 0; i < field.size(); ++i) {
        auto byte = static_cast<unsigned char>(field[i]);
        if (i == 0)
            byte = negative ? byte | 0x80 : byte & 0x7f;
        // All but the last eight bytes only carry the sign.
        if (i + 8 < field.size() && byte != (negative ? 0xff : 0))
            return std::nullopt;
        value = value << 8 | byte;
    }
    const auto result = static_cast<std::int64_t>(value);
    return (result < 0) == negative ? std::optional{result} : std::nullopt;
}

/// "1700000000.123456789", "-1.5".
std::optional<TarTime> parse_time(std::string_view text) {
    const std::size_t point = text.find('.');
    const auto seconds = parse_number<std::int64_t>(text.substr(0, point));
    if (!seconds)
        return std::nullopt;
    TarTime time{*seconds, 0};
    if (point == std::string_view::npos)
        return time;
    std::string digits{text.substr(point + 1)};
    if (digits.size() > 64 || !std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; }))
        return std::nullopt;
    digits.resize(9, '0');
    time.nanoseconds = parse_number<std::uint32_t>(digits).value_or(0);
    if (text.front() == '-' && time.nanoseconds > 0) {
        time.seconds -= 1;
        time.nanoseconds = 1'000'000'000 - time.nanoseconds;
    }
    return time;
}

/// The kernel takes these for "no id" or can't hold them.
Result<std::uint32_t> checked_id(std::optional<std::int64_t> id) {
    if (!id || *id < 0 || *id >= std::numeric_limits<std::uint32_t>::max())
        return fail(broken("an owner is not a valid id"));
    return static_cast<std::uint32_t>(*id);
}

} // namespace

std::optional<std::int64_t> tar_number(std::string_view field) {
    if (!field.empty() && (static_cast<unsigned char>(field.front()) & 0x80) != 0)
        return binary_number(field);
    while (!field.empty() && (field.front() == ' ' || field.front() == '\0'))
        field.remove_prefix(1);
    std::int64_t value = 0;
    for (const char c : field) {
        if (c == ' ' || c == '\0')
            break;
        if (c < '0' || c > '7' || value > (std::numeric_limits<std::int64_t>::max() >> 3))
            return std::nullopt;
        value = value << 3 | (c - '0');
    }
    return value;
}

std::string until_nul(std::string_view field) { return std::string{field.substr(0, field.find('\0'))}; }

Result<TarEntry::Type> tar_type(char flag, std::string_view path) {
    using Type = TarEntry::Type;
    switch (flag) {
    case '\0':
    case '0':
    case '7':
    case 'S':
        return path.ends_with('/') ? Type::folder : Type::file; // before there was a type for them
    case '1':
        return Type::hard_link;
    case '2':
        return Type::symlink;
    case '3':
        return Type::character;
    case '4':
        return Type::block;
    case '5':
        return Type::folder;
    case '6':
        return Type::fifo;
    default:
        return fail(bad_input("'" + printable(path) + "' has the type '" + printable({&flag, 1}) +
                              "', which is none that a layer has"));
    }
}

Result<void> read_numbers(const char* block, bool has_device, TarEntry& entry) {
    const auto field = [&](std::size_t offset, std::size_t length) { return tar_number({block + offset, length}); };
    const auto mode = field(100, 8);
    const auto mtime = field(136, 12);
    if (!mode || !mtime)
        return fail(broken("'" + printable(entry.path) + "' has no valid mode or time"));
    entry.mode = static_cast<std::uint32_t>(*mode) & 07777;
    entry.uid = TRY(checked_id(field(108, 8)));
    entry.gid = TRY(checked_id(field(116, 8)));
    entry.mtime.seconds = *mtime;
    entry.stored_size = static_cast<std::uint64_t>(field(124, 12).value_or(0));
    if (entry.type != TarEntry::Type::character && entry.type != TarEntry::Type::block)
        return {};
    const auto major = has_device ? field(329, 8) : std::nullopt;
    const auto minor = has_device ? field(337, 8) : std::nullopt;
    if (!major || !minor || *major < 0 || *minor < 0 || *major > 0xfff || *minor > 0xfffff)
        return fail(broken("'" + printable(entry.path) + "' has no valid device number"));
    entry.major = static_cast<std::uint32_t>(*major);
    entry.minor = static_cast<std::uint32_t>(*minor);
    return {};
}

Result<void> check_segments(const TarEntry& entry, std::uint64_t max_size) {
    std::uint64_t end = 0;
    std::uint64_t stored = 0;
    for (const SparseSegment& segment : entry.segments) {
        if (segment.offset > max_size || segment.length > max_size || segment.offset < end)
            return fail(broken("the map of the sparse file '" + printable(entry.path) + "' is not valid"));
        end = segment.offset + segment.length;
        stored += segment.length;
    }
    if (entry.size > max_size || end > entry.size || stored != entry.stored_size)
        return fail(broken("the map of the sparse file '" + printable(entry.path) + "' does not fit its size"));
    return {};
}

Result<void> PaxRecords::parse(std::string_view text) {
    while (!text.empty()) {
        const std::size_t blank = text.find(' ');
        const auto length = parse_number<std::size_t>(text.substr(0, std::min(blank, text.size())));
        if (blank == std::string_view::npos || !length || *length <= blank + 1 || *length > text.size() ||
            text[*length - 1] != '\n')
            return fail(broken("a pax header is not valid"));
        const std::string_view record = text.substr(blank + 1, *length - blank - 2);
        const std::size_t equals = record.find('=');
        if (equals == std::string_view::npos || equals == 0)
            return fail(broken("a pax header is not valid"));
        const std::string_view key = record.substr(0, equals);
        const std::string_view value = record.substr(equals + 1);
        if (key.starts_with(xattr_prefix))
            xattrs_.emplace_back(key.substr(xattr_prefix.size()), value);
        else if (key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes")
            old_map_.emplace_back(value);
        else
            records_.insert_or_assign(std::string{key}, std::string{value});
        text.remove_prefix(*length);
    }
    return {};
}

const std::string* PaxRecords::find(std::string_view key) const {
    const auto it = records_.find(key);
    return it == records_.end() || it->second.empty() ? nullptr : &it->second; // empty: as if it were not there
}

Result<void> PaxRecords::apply(TarEntry& entry) const {
    if (const auto* path = find("path"))
        entry.path = *path;
    if (const auto* name = find("GNU.sparse.name"))
        entry.path = *name;
    if (const auto* link = find("linkpath"))
        entry.link = *link;
    if (const auto* uid = find("uid"))
        entry.uid = TRY(checked_id(parse_number<std::int64_t>(*uid)));
    if (const auto* gid = find("gid"))
        entry.gid = TRY(checked_id(parse_number<std::int64_t>(*gid)));
    if (const auto* text = find("size")) {
        const auto size = parse_number<std::uint64_t>(*text);
        if (!size)
            return fail(broken("a pax header has no valid size"));
        entry.stored_size = *size;
    }
    if (const auto* text = find("mtime")) {
        const auto time = parse_time(*text);
        if (!time)
            return fail(broken("a pax header has no valid time"));
        entry.mtime = *time;
    }
    if (const auto* text = find("atime"))
        entry.atime = parse_time(*text);
    entry.xattrs = xattrs_;
    return {};
}

bool PaxRecords::is_sparse() const {
    return find("GNU.sparse.major") != nullptr || find("GNU.sparse.map") != nullptr || !old_map_.empty() ||
           find("GNU.sparse.size") != nullptr;
}

bool PaxRecords::has_map_in_data() const {
    const auto* major = find("GNU.sparse.major");
    return major != nullptr && *major == "1";
}

Result<std::uint64_t> PaxRecords::sparse_size() const {
    const auto* text = find("GNU.sparse.realsize");
    text = text == nullptr ? find("GNU.sparse.size") : text;
    const auto size = text == nullptr ? std::nullopt : parse_number<std::uint64_t>(*text);
    if (!size)
        return fail(broken("a sparse file has no valid size"));
    return *size;
}

Result<std::vector<SparseSegment>> PaxRecords::sparse_map(std::size_t most) const {
    std::vector<std::uint64_t> numbers;
    const auto add = [&](std::string_view text) {
        const auto value = parse_number<std::uint64_t>(text);
        if (value)
            numbers.push_back(*value);
        return value.has_value() && numbers.size() <= most * 2;
    };
    bool valid = true;
    for (const std::string& text : old_map_)
        valid = valid && add(text);
    if (const auto* map = find("GNU.sparse.map"); map != nullptr)
        for (std::size_t begin = 0; valid && begin <= map->size();) {
            const std::size_t end = std::min(map->find(',', begin), map->size());
            valid = add(std::string_view{*map}.substr(begin, end - begin));
            begin = end + 1;
        }
    if (!valid || numbers.size() % 2 != 0)
        return fail(broken("a sparse file's map is not valid"));
    std::vector<SparseSegment> segments;
    for (std::size_t i = 0; i < numbers.size(); i += 2)
        segments.push_back({numbers[i], numbers[i + 1]});
    return segments;
}

} // namespace ctrd::image
