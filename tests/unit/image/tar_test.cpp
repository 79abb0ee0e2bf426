#include "ctrd/image/tar.hpp"
#include "tests/unit/image/tar_maker.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using namespace ctrd::image;
using namespace ctrd::image::test;

namespace {

/// The first entry, or the error.
Result<TarEntry> first(const std::string& archive) {
    PieceSource source{archive};
    TarReader reader{source};
    auto entry = TRY(reader.next());
    return entry ? Result<TarEntry>{std::move(*entry)} : fail(bad_input("empty"));
}

std::string pax(const std::string& records) { return tar_entry({.path = "x", .type = 'x', .data = records}); }

} // namespace

TEST_CASE("files come with their names, modes, times and data, however the bytes are cut", "[image]") {
    const std::string archive = tar_entry({.path = "a/b", .data = std::string(700, 'x'), .mode = 04755}) +
                                tar_entry({.path = "c", .type = '2', .link = "a/b"}) + end_of_tar();
    for (const std::size_t step : {1U, 7U, 512U, 5000U}) {
        PieceSource source{archive, step};
        TarReader reader{source};
        auto entry = reader.next();
        REQUIRE(entry.has_value());
        REQUIRE(entry->has_value());
        CHECK((*entry)->path == "a/b");
        CHECK((*entry)->mode == 04755);
        CHECK((*entry)->mtime.seconds == 1'700'000'000);
        std::string data;
        for (auto piece = reader.data(); piece && !piece->empty(); piece = reader.data())
            data += *piece;
        CHECK(data == std::string(700, 'x'));
        entry = reader.next();
        REQUIRE(entry.has_value());
        REQUIRE(entry->has_value());
        CHECK((*entry)->type == TarEntry::Type::symlink);
        CHECK((*entry)->link == "a/b");
        CHECK_FALSE(reader.next()->has_value());
    }
}

TEST_CASE("pax records say more than the header", "[image]") {
    const auto entry = first(pax(pax_record("path", std::string(300, 'p')) + pax_record("mtime", "-1.5") +
                                 pax_record("SCHILY.xattr.user.mark", "v")) +
                             tar_entry({.path = "short"}));
    REQUIRE(entry.has_value());
    CHECK(entry->path == std::string(300, 'p'));
    CHECK(entry->mtime.seconds == -2);
    CHECK(entry->mtime.nanoseconds == 500'000'000);
    REQUIRE(entry->xattrs.size() == 1);
    CHECK(entry->xattrs.front().first == "user.mark");
}

TEST_CASE("GNU's long names are taken over", "[image]") {
    const auto entry = first(tar_entry({.path = "././@LongLink", .type = 'L', .data = std::string(200, 'n')}) +
                             tar_entry({.path = "cut"}));
    REQUIRE(entry.has_value());
    CHECK(entry->path == std::string(200, 'n'));
}

TEST_CASE("a sparse file's map comes in front of its data", "[image]") {
    const std::string map = padded("1\n4096\n5\n");
    const auto entry = first(pax(pax_record("GNU.sparse.major", "1") + pax_record("GNU.sparse.minor", "0") +
                                 pax_record("GNU.sparse.name", "real") + pax_record("GNU.sparse.realsize", "8192")) +
                             tar_entry({.path = "GNUSparseFile.0/real", .data = map + "hello"}));
    REQUIRE(entry.has_value());
    CHECK(entry->path == "real");
    CHECK(entry->size == 8192);
    REQUIRE(entry->segments.size() == 1);
    CHECK(entry->segments.front().offset == 4096);
}

TEST_CASE("damaged and hostile archives are errors", "[image]") {
    std::string wrong_sum = tar_entry({.path = "a"});
    wrong_sum[0] = 'b';
    std::string negative = tar_entry({.path = "a"});
    negative.replace(124, 12, std::string(12, '\xff'));
    const auto sparse = [](const std::string& map, const std::string& size) {
        return pax(pax_record("GNU.sparse.map", map) + pax_record("GNU.sparse.size", size)) +
               tar_entry({.path = "s", .data = "12345"});
    };
    const std::pair<const char*, std::string> bad[] = {
        {"checksum", wrong_sum},
        {"negative size", negative},
        {"cut header", tar_entry({.path = "a"}).substr(0, 300)},
        {"pax without length", pax("path=x\n") + tar_entry({.path = "a"})},
        {"pax beyond its end", pax("9999 path=x\n") + tar_entry({.path = "a"})},
        {"pax name with NUL", pax(pax_record("path", std::string{"a\0b", 3})) + tar_entry({.path = "a"})},
        {"owner that wraps", pax(pax_record("uid", "4294967295")) + tar_entry({.path = "a"})},
        {"owner below zero", pax(pax_record("gid", "-1")) + tar_entry({.path = "a"})},
        {"size beyond all", pax(pax_record("size", "18446744073709551615")) + tar_entry({.path = "a"})},
        {"unknown type", tar_entry({.path = "a", .type = 'Z'})},
        {"huge pax header", tar_entry({.path = "x", .type = 'x', .data = std::string(2U << 20, ' ')})},
        {"sparse segments that overlap", sparse("0,3,1,2", "100")},
        {"sparse beyond its size", sparse("98,5", "100")},
        {"sparse map that is not the data", sparse("0,4", "100")},
        {"sparse map of wrapping numbers", sparse("18446744073709551615,5", "100")},
    };
    for (const auto& [what, archive] : bad) {
        INFO(what);
        const auto entry = first(archive + end_of_tar());
        REQUIRE_FALSE(entry.has_value());
        CHECK(entry.error().message != "empty");
    }
}

TEST_CASE("an archive may end with its last file's last byte", "[image]") {
    PieceSource source{tar_entry({.path = "a", .data = "four"}).substr(0, 512 + 4)};
    TarReader reader{source};
    REQUIRE(reader.next().has_value());
    CHECK(*reader.data() == "four");
    const auto end = reader.next();
    REQUIRE(end.has_value());
    CHECK_FALSE(end->has_value());
}

TEST_CASE("an archive that ends within a file is an error, not a short file", "[image]") {
    PieceSource source{tar_entry({.path = "a", .data = std::string(2000, 'x')}).substr(0, 1000)};
    TarReader reader{source};
    REQUIRE(reader.next().has_value());
    auto piece = reader.data();
    while (piece && !piece->empty())
        piece = reader.data();
    CHECK_FALSE(piece.has_value());
}

TEST_CASE("a name that is cut behind a slash makes no folder of a file", "[image]") {
    std::string cut;
    while (cut.size() < 100)
        cut += "a/";
    const auto entry = first(tar_entry({.path = "x", .type = 'x', .data = pax_record("path", cut + "file")}) +
                             tar_entry({.path = cut, .data = "12345"}) + end_of_tar());
    REQUIRE(entry.has_value());
    CHECK(entry->type == TarEntry::Type::file);
    CHECK(entry->path == cut + "file");
    CHECK(entry->size == 5);
    CHECK(first(tar_entry({.path = "old/"}) + end_of_tar())->type == TarEntry::Type::folder);
}
