// Fuzz target: a layer's tar archive, in pieces of a size that the first byte says. The sums of its headers are made to
// fit, or else nearly every change would end at them; an odd first byte leaves them alone.
#include "ctrd/image/tar.hpp"
#include "tests/fuzz/promise.hpp"

#include <algorithm>
#include <cstring>

namespace {

using namespace ctrd;

constexpr std::size_t block = 512;

class Pieces : public image::ChunkSource {
public:
    Pieces(std::string_view text, std::size_t step) : left_{text}, step_{step} {}
    Result<std::string_view> next() override {
        const std::string_view piece = left_.substr(0, step_);
        left_.remove_prefix(piece.size());
        return piece;
    }

private:
    std::string_view left_;
    std::size_t step_;
};

void mend_sums(std::string& archive) {
    for (std::size_t at = 0; at + block <= archive.size(); at += block) {
        char* const header = archive.data() + at;
        if (std::memcmp(header + 257, "ustar", 5) != 0)
            continue;
        std::memset(header + 148, ' ', 8);
        unsigned sum = 0;
        for (std::size_t i = 0; i < block; ++i)
            sum += static_cast<unsigned char>(header[i]);
        for (int digit = 5; digit >= 0; --digit, sum >>= 3)
            header[148 + digit] = static_cast<char>('0' + (sum & 7));
        header[154] = '\0';
    }
}

void check(const image::TarEntry& entry) {
    for (const std::string& text : {entry.path, entry.link})
        fuzz::promise(text.find('\0') == std::string::npos, "a name is a whole string");
    for (const auto& [name, value] : entry.xattrs)
        fuzz::promise(name.find('\0') == std::string::npos, "an attribute's name is a whole string");
    fuzz::promise(entry.mode <= 07777 && entry.mtime.nanoseconds < 1'000'000'000, "mode and time are such");
    fuzz::promise(entry.sparse || entry.stored_size == entry.size, "a file is as long as its data");
    std::uint64_t end = 0;
    std::uint64_t sum = 0;
    for (const auto& segment : entry.segments) {
        fuzz::promise(segment.offset >= end && segment.offset + segment.length <= entry.size,
                      "segments ascend and lie in the file");
        end = segment.offset + segment.length;
        sum += segment.length;
    }
    fuzz::promise(!entry.sparse || sum == entry.stored_size, "segments are what is stored");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0)
        return 0;
    std::string archive{reinterpret_cast<const char*>(data) + 1, size - 1};
    if ((data[0] & 1) == 0)
        mend_sums(archive);
    Pieces pieces{archive, static_cast<std::size_t>(data[0]) * 16 + 1};
    image::TarReader reader{pieces};
    std::uint64_t seen = 0;
    while (true) {
        const auto entry = reader.next();
        fuzz::promise(reader.position() <= archive.size(), "no more is read than there is");
        if (!entry || !*entry)
            return 0;
        check(**entry);
        fuzz::promise(reader.position() > seen, "each entry takes something");
        seen = reader.position();
        std::uint64_t length = 0;
        auto piece = reader.data();
        for (; piece && !piece->empty(); piece = reader.data())
            length += piece->size();
        fuzz::promise(!piece || length == (*entry)->stored_size, "data is as long as it was said");
    }
}
