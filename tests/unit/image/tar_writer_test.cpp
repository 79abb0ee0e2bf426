#include "ctrd/image/decompress.hpp"
#include "ctrd/image/gzip.hpp"
#include "ctrd/image/tar_writer.hpp"
#include "tests/unit/image/tar_maker.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using namespace ctrd::image;
using namespace ctrd::image::test;

namespace {

using Type = TarEntry::Type;

struct Written {
    std::string text{};
    TarWriter tar{[this](std::string_view data) -> Result<void> {
        text += data;
        return {};
    }};
};

/// What the reader says of one entry without data that the writer has written.
TarEntry there_and_back(const TarEntry& entry) {
    Written written;
    REQUIRE(written.tar.add(entry).has_value());
    REQUIRE(written.tar.finish().has_value());
    PieceSource source{written.text};
    TarReader reader{source};
    auto read = reader.next();
    REQUIRE(read.has_value());
    REQUIRE(read->has_value());
    return **read;
}

} // namespace

TEST_CASE("what is written is read as it was", "[image]") {
    TarEntry entry{.type = Type::character,
                   .path = "d/" + std::string(250, 'n') + "\xff\n",
                   .mode = 07755,
                   .uid = 4'000'000'000,
                   .gid = 0x1fffff,
                   .major = 10,
                   .minor = 200,
                   .mtime = {1'700'000'000, 5}};
    entry.xattrs = {{"user.a", std::string{"\0=\n\xff", 4}}, {"user.b", ""}};
    const TarEntry read = there_and_back(entry);
    CHECK(read.type == entry.type);
    CHECK(read.path == entry.path);
    CHECK(read.mode == entry.mode);
    CHECK(read.uid == entry.uid);
    CHECK(read.gid == entry.gid);
    CHECK(read.major == entry.major);
    CHECK(read.minor == entry.minor);
    CHECK(read.mtime.seconds == entry.mtime.seconds);
    CHECK(read.mtime.nanoseconds == entry.mtime.nanoseconds);
    CHECK(read.xattrs == entry.xattrs);
    CHECK(there_and_back({.type = Type::symlink, .path = "l", .link = std::string(300, 't')}).link ==
          std::string(300, 't'));
}

TEST_CASE("times before 1970 and beyond eleven digits are written as pax says", "[image]") {
    for (const TarTime time : {TarTime{-1, 0}, TarTime{-1, 500'000'000}, TarTime{-3, 1},
                               TarTime{std::int64_t{1} << 34, 0}, TarTime{0, 0}, TarTime{0, 999'999'999}}) {
        const TarEntry read = there_and_back({.type = Type::fifo, .path = "f", .mtime = time});
        CHECK(read.mtime.seconds == time.seconds);
        CHECK(read.mtime.nanoseconds == time.nanoseconds);
    }
}

TEST_CASE("a sparse file is written as a map and its data", "[image]") {
    Written written;
    TarEntry entry{.path = "s", .size = 1U << 20};
    entry.sparse = true;
    entry.segments = {{4096, 3}, {65536, 2}};
    REQUIRE(written.tar.add(entry).has_value());
    REQUIRE(written.tar.data("abc").has_value());
    REQUIRE(written.tar.data("de").has_value());
    REQUIRE(written.tar.add({.path = "after", .size = 0}).has_value());
    REQUIRE(written.tar.finish().has_value());
    PieceSource source{written.text};
    TarReader reader{source};
    const auto read = reader.next();
    REQUIRE(read.has_value());
    CHECK((*read)->path == "s");
    CHECK((*read)->sparse);
    CHECK((*read)->size == entry.size);
    CHECK((*read)->segments.size() == 2);
    CHECK((*read)->segments[1].offset == 65536);
    CHECK(reader.data().value() == "abcde");
    CHECK((*reader.next())->path == "after");
}

TEST_CASE("a file that has become shorter is filled up", "[image]") {
    Written written;
    REQUIRE(written.tar.add({.path = "f", .size = 1000}).has_value());
    REQUIRE(written.tar.data("abc").has_value());
    REQUIRE(written.tar.add({.path = "g"}).has_value());
    REQUIRE(written.tar.finish().has_value());
    CHECK(written.text.size() == 512U * 6);
    PieceSource source{written.text};
    TarReader reader{source};
    CHECK((*reader.next())->size == 1000);
    CHECK((*reader.next())->path == "g");
}

TEST_CASE("what is compressed is inflated to what it was", "[image]") {
    std::string text;
    for (int i = 0; i < 200'000; ++i)
        text += std::to_string(i * 7919 % 1000);
    std::string packed;
    Gzipper gzip{[&](std::string_view data) -> Result<void> {
        packed += data;
        return {};
    }};
    for (std::size_t at = 0; at < text.size(); at += 100'001)
        REQUIRE(gzip.feed(std::string_view{text}.substr(at, 100'001)).has_value());
    REQUIRE(gzip.finish().has_value());
    CHECK(packed.size() < text.size());
    std::string inflated;
    const auto gunzip = Decompressor::make(detect_compression(packed).value());
    const auto sink = [&](std::string_view data) -> Result<void> {
        inflated += data;
        return {};
    };
    REQUIRE(gunzip->feed(packed, sink).has_value());
    REQUIRE(gunzip->finish().has_value());
    CHECK(inflated == text);
}
