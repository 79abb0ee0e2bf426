// Tar archives for tests, byte by byte, so that they can also be wrong; and a folder that goes with the test.
#pragma once

#include "ctrd/image/tar.hpp"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

namespace ctrd::image::test {

struct Header {
    std::string path{};
    char type{'0'};
    std::string data{};
    std::string link{};
    unsigned mode{0644};
    std::int64_t mtime{1'700'000'000};
    unsigned major{0}, minor{0};
};

inline void put_octal(std::string& block, std::size_t at, std::size_t width, std::uint64_t value) {
    for (std::size_t i = width - 1; i-- > 0; value >>= 3)
        block[at + i] = static_cast<char>('0' + (value & 7));
}

inline std::string padded(std::string data) {
    data.resize((data.size() + 511) / 512 * 512, '\0');
    return data;
}

/// The owner is whoever runs the test: nobody else could make the files.
inline std::string tar_entry(const Header& header) {
    std::string block(512, '\0');
    block.replace(0, header.path.size(), header.path);
    put_octal(block, 100, 8, header.mode);
    put_octal(block, 108, 8, ::getuid());
    put_octal(block, 116, 8, ::getgid());
    put_octal(block, 124, 12, header.data.size());
    put_octal(block, 136, 12, static_cast<std::uint64_t>(header.mtime));
    block[156] = header.type;
    block.replace(157, header.link.size(), header.link);
    block.replace(257, 8, std::string{"ustar\00000", 8});
    put_octal(block, 329, 8, header.major);
    put_octal(block, 337, 8, header.minor);
    block.replace(148, 8, 8, ' ');
    unsigned sum = 0;
    for (const char c : block)
        sum += static_cast<unsigned char>(c);
    put_octal(block, 148, 7, sum);
    block[154] = '\0';
    return block + padded(header.data);
}

inline std::string pax_record(const std::string& key, const std::string& value) {
    const std::string rest = " " + key + "=" + value + "\n";
    std::size_t size = rest.size();
    while (std::to_string(size).size() + rest.size() != size)
        size = std::to_string(size).size() + rest.size();
    return std::to_string(size) + rest;
}

inline std::string end_of_tar() { return std::string(1024, '\0'); }

/// Gives `text` in pieces of `step` bytes, so that no header comes in one.
class PieceSource : public ChunkSource {
public:
    explicit PieceSource(std::string text, std::size_t step = 100) : text_{std::move(text)}, step_{step} {}
    Result<std::string_view> next() override {
        const std::string_view piece = std::string_view{text_}.substr(at_, step_);
        at_ += piece.size();
        return piece;
    }

private:
    std::string text_;
    std::size_t step_, at_{0};
};

struct Folder {
    std::filesystem::path path{};
    Folder() {
        char name[] = "/var/tmp/ctrd-image-XXXXXX";
        path = ::mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
};

} // namespace ctrd::image::test
