#include "ctrd/image/tar.hpp"

#include "ctrd/image/tar_fields.hpp"

#include <algorithm>
#include <cstring>

namespace ctrd::image {
namespace {

constexpr std::size_t block_size = 512;
constexpr std::uint64_t max_special = 1U << 20; // of all pax headers and long names of one entry
constexpr std::size_t max_segments = 1U << 20;
constexpr std::uint64_t max_size = std::uint64_t{1} << 50;

Error broken(std::string_view what) { return bad_input("the tar archive is damaged: " + std::string{what}); }

} // namespace

struct TarReader::Block {
    char bytes[block_size];
    [[nodiscard]] std::string_view field(std::size_t offset, std::size_t length) const {
        return {bytes + offset, length};
    }
    [[nodiscard]] char type() const { return bytes[156]; }
    [[nodiscard]] bool is_zero() const {
        return std::ranges::all_of(bytes, [](char c) { return c == '\0'; });
    }
    [[nodiscard]] bool is_posix() const { return std::memcmp(bytes + 257, "ustar\0", 6) == 0; }
    [[nodiscard]] bool is_gnu() const { return std::memcmp(bytes + 257, "ustar  ", 8) == 0; }

    /// As written; some old programs sum signed bytes.
    [[nodiscard]] bool checksum_fits() const {
        const auto written = tar_number(field(148, 8));
        std::int64_t plain = 0;
        std::int64_t with_sign = 0;
        for (std::size_t i = 0; i < block_size; ++i) {
            const char c = i >= 148 && i < 156 ? ' ' : bytes[i];
            plain += static_cast<unsigned char>(c);
            with_sign += static_cast<signed char>(c);
        }
        return written && (*written == plain || *written == with_sign);
    }
};

/// What the headers in front of an entry say about it.
struct TarReader::Extended {
    PaxRecords pax{};
    std::optional<std::string> long_path{};
    std::optional<std::string> long_link{};
};

/// At most `most` bytes of what comes; empty at the end of the input.
Result<std::string_view> TarReader::piece(std::uint64_t most) {
    if (chunk_.empty() && !ended_) {
        chunk_ = TRY(source_.next());
        ended_ = chunk_.empty();
    }
    const auto result = chunk_.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(most, chunk_.size())));
    chunk_.remove_prefix(result.size());
    position_ += result.size();
    return result;
}

/// False at the end of the input.
Result<bool> TarReader::read_block(Block& block) {
    std::size_t have = 0;
    while (have < block_size) {
        const auto part = TRY(piece(block_size - have));
        if (part.empty() && have == 0)
            return false;
        if (part.empty())
            return fail(broken("it ends in the middle of a header"));
        std::memcpy(block.bytes + have, part.data(), part.size());
        have += part.size();
    }
    return true;
}

Result<void> TarReader::skip(std::uint64_t size) {
    constexpr std::uint64_t worth_it = 65536;
    if (size > chunk_.size() + worth_it && !ended_) {
        const std::uint64_t beyond = size - chunk_.size();
        if (TRY(source_.jump(beyond))) {
            position_ += size;
            chunk_ = {};
            return {};
        }
    }
    while (size > 0) {
        const auto part = TRY(piece(size));
        if (part.empty())
            return fail(broken("it ends in the middle of a file"));
        size -= part.size();
    }
    return {};
}

/// The last file's may be missing, with the zero blocks behind it (umoci insert): the file itself is whole.
Result<void> TarReader::skip_padding() {
    while (padding_ > 0) {
        const auto part = TRY(piece(padding_));
        padding_ = part.empty() ? 0 : padding_ - static_cast<std::uint32_t>(part.size());
    }
    return {};
}

/// The content of a header that is a file of its own.
Result<std::string> TarReader::read_text(std::uint64_t size) {
    std::string text;
    while (text.size() < size) {
        const auto part = TRY(piece(size - text.size()));
        if (part.empty())
            return fail(broken("it ends in the middle of a header"));
        text += part;
    }
    TRY_VOID(skip((block_size - size % block_size) % block_size));
    return text;
}

Result<std::string_view> TarReader::data() {
    if (data_left_ == 0)
        return std::string_view{};
    const auto part = TRY(piece(data_left_));
    if (part.empty())
        return fail(broken("it ends in the middle of a file"));
    data_left_ -= part.size();
    return part;
}

Result<std::optional<TarEntry>> TarReader::next() {
    TRY_VOID(skip(data_left_));
    data_left_ = 0;
    TRY_VOID(skip_padding());
    Extended extended;
    std::uint64_t special = 0;
    for (;;) {
        Block block;
        // One zero block ends it: the second one is missing in what some programs write.
        if (!TRY(read_block(block)) || block.is_zero())
            return std::optional<TarEntry>{};
        if (!block.checksum_fits())
            return fail(broken("a header's checksum is wrong"));
        const auto size = tar_number(block.field(124, 12));
        if (!size || *size < 0 || static_cast<std::uint64_t>(*size) > max_size)
            return fail(broken("a header has no valid size"));
        // Each could be small, and all of them larger than any memory.
        if (std::string_view{"xXgLK"}.contains(block.type()) &&
            (special += static_cast<std::uint64_t>(*size) + block_size) > max_special)
            return fail(broken("an entry's headers have " + std::to_string(special) + " bytes"));
        switch (block.type()) {
        case 'x':
        case 'X': {
            const std::string text = TRY(read_text(static_cast<std::uint64_t>(*size)));
            TRY_VOID(extended.pax.parse(text));
            continue;
        }
        case 'g': // for all that follows, such as a comment: nothing that a file is made of
            TRY(read_text(static_cast<std::uint64_t>(*size)));
            continue;
        case 'L':
            extended.long_path = until_nul(TRY(read_text(static_cast<std::uint64_t>(*size))));
            continue;
        case 'K':
            extended.long_link = until_nul(TRY(read_text(static_cast<std::uint64_t>(*size))));
            continue;
        default:
            return std::optional<TarEntry>{TRY(entry_of(block, extended))};
        }
    }
}

Result<TarEntry> TarReader::entry_of(const Block& block, Extended& extended) {
    TarEntry entry;
    entry.path = until_nul(block.field(0, 100));
    if (const auto prefix = until_nul(block.field(345, 155)); block.is_posix() && !prefix.empty())
        entry.path = prefix + "/" + entry.path;
    entry.link = until_nul(block.field(157, 100));
    entry.path = extended.long_path.value_or(std::move(entry.path));
    entry.link = extended.long_link.value_or(std::move(entry.link));
    entry.type = TRY(tar_type(block.type(), entry.path));
    TRY_VOID(read_numbers(block.bytes, block.is_posix() || block.is_gnu(), entry));
    TRY_VOID(extended.pax.apply(entry));
    // By the whole name: one that is cut for the header may end with a slash by chance.
    entry.type = TRY(tar_type(block.type(), entry.path));
    if (entry.path.find('\0') != std::string::npos || entry.link.find('\0') != std::string::npos)
        return fail(broken("a name has a NUL byte in it"));
    if (entry.stored_size > max_size)
        return fail(broken("a file has " + std::to_string(entry.stored_size) + " bytes"));
    if (entry.type != TarEntry::Type::file)
        entry.stored_size = 0; // a link's size is its target's: only files have data
    data_left_ = entry.stored_size;
    padding_ = static_cast<std::uint32_t>((block_size - entry.stored_size % block_size) % block_size);
    entry.size = entry.stored_size;
    if (block.type() == 'S' && block.is_gnu())
        TRY_VOID(add_old_sparse(block, entry));
    else if (extended.pax.is_sparse() && entry.type == TarEntry::Type::file)
        TRY_VOID(add_pax_sparse(extended, entry));
    if (entry.sparse)
        TRY_VOID(check_segments(entry, max_size));
    return entry;
}

Result<void> TarReader::add_old_sparse(const Block& block, TarEntry& entry) {
    entry.sparse = true;
    const auto real_size = tar_number(block.field(483, 12));
    if (!real_size || *real_size < 0)
        return fail(broken("a sparse file has no valid size"));
    entry.size = static_cast<std::uint64_t>(*real_size);
    Block more = block;
    std::size_t at = 386;
    std::size_t count = 4;
    for (;;) {
        for (std::size_t i = 0; i < count; ++i) {
            const std::string_view pair = more.field(at + i * 24, 24);
            if (pair.front() == '\0')
                break;
            const auto offset = tar_number(pair.substr(0, 12));
            const auto length = tar_number(pair.substr(12));
            if (!offset || !length || *offset < 0 || *length < 0 || entry.segments.size() >= max_segments)
                return fail(broken("a sparse file's map is not valid"));
            entry.segments.push_back({static_cast<std::uint64_t>(*offset), static_cast<std::uint64_t>(*length)});
        }
        if (more.bytes[count == 4 ? 482 : 504] == '\0')
            return {};
        if (!TRY(read_block(more)))
            return fail(broken("it ends in the middle of a header"));
        at = 0;
        count = 21;
    }
}

Result<void> TarReader::add_pax_sparse(Extended& extended, TarEntry& entry) {
    entry.sparse = true;
    entry.size = TRY(extended.pax.sparse_size());
    if (!extended.pax.has_map_in_data()) {
        entry.segments = TRY(extended.pax.sparse_map(max_segments));
        return {};
    }
    return read_sparse_map(entry);
}

/// Version 1.0: decimal numbers, a line each, in front of the data and padded to whole blocks.
Result<void> TarReader::read_sparse_map(TarEntry& entry) {
    Block block;
    std::size_t used = block_size;
    const auto number = [&]() -> Result<std::uint64_t> {
        std::uint64_t value = 0;
        for (int digits = 0;; ++digits) {
            if (used == block_size) {
                if (data_left_ < block_size || !TRY(read_block(block)))
                    return fail(broken("a sparse file's map is not whole"));
                data_left_ -= block_size;
                entry.stored_size -= block_size;
                used = 0;
            }
            const char c = block.bytes[used++];
            if (c == '\n' && digits > 0)
                return value;
            if (c < '0' || c > '9' || digits > 17)
                return fail(broken("a sparse file's map is not valid"));
            value = value * 10 + static_cast<std::uint64_t>(c - '0');
        }
    };
    const std::uint64_t count = TRY(number());
    if (count > max_segments)
        return fail(broken("a sparse file's map has " + std::to_string(count) + " entries"));
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t offset = TRY(number());
        entry.segments.push_back({offset, TRY(number())});
    }
    return {};
}

} // namespace ctrd::image
