#include "ctrd/image/settle.hpp"
#include "ctrd/image/tree_writer.hpp"
#include "ctrd/image/xattrs.hpp"
#include "tests/unit/image/tar_maker.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>

using namespace ctrd;
using namespace ctrd::image;
using namespace ctrd::image::test;

namespace {

UniqueFd open_folder(const std::filesystem::path& path) {
    return UniqueFd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
}

Result<LayerDebts> unpack(const std::filesystem::path& tree, const std::string& archive, LayerLimits limits = {}) {
    std::filesystem::create_directories(tree);
    const UniqueFd root = open_folder(tree);
    PieceSource source{archive + end_of_tar()};
    TarReader reader{source};
    TreeWriter writer{root.get(), limits};
    while (auto entry = TRY(reader.next()))
        TRY_VOID(writer.add(*entry, reader));
    TRY_VOID(writer.finish());
    return writer.debts();
}

std::vector<LayerNode> layers(const std::vector<std::filesystem::path>& paths) {
    std::vector<LayerNode> roots;
    for (const auto& path : paths)
        roots.push_back(*LayerNode::root(open_folder(path)));
    return roots;
}

std::string content(const std::filesystem::path& path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

struct stat look_at(const std::filesystem::path& path) {
    struct stat st {};
    REQUIRE(::lstat(path.c_str(), &st) == 0);
    return st;
}

} // namespace

TEST_CASE("files, folders and links get mode and time as the layer says", "[image]") {
    const Folder folder;
    const auto debts = unpack(folder.path / "t", tar_entry({.path = "d/", .type = '5', .mode = 01777, .mtime = 1000}) +
                                                     tar_entry({.path = "d/f", .data = "hi", .mode = 04711}) +
                                                     tar_entry({.path = "d/h", .type = '1', .link = "d/f"}) +
                                                     tar_entry({.path = "d/s", .type = '2', .link = "/etc/passwd"}));
    REQUIRE(debts.has_value());
    CHECK((look_at(folder.path / "t/d").st_mode & 07777) == 01777);
    CHECK(look_at(folder.path / "t/d").st_mtime == 1000);
    CHECK((look_at(folder.path / "t/d/f").st_mode & 07777) == 04711);
    CHECK(look_at(folder.path / "t/d/f").st_nlink == 2);
    CHECK(S_ISLNK(look_at(folder.path / "t/d/s").st_mode));
}

TEST_CASE("a file in a set-group-ID folder has the layer's group, not the folder's", "[image]") {
    if (::getuid() != 0)
        return; // nobody else can give the folder away
    const Folder folder;
    REQUIRE(unpack(folder.path / "t", tar_entry({.path = "d/", .type = '5', .mode = 02775})).has_value());
    REQUIRE(::chown((folder.path / "t/d").c_str(), 0, 50) == 0);
    REQUIRE(::chmod((folder.path / "t/d").c_str(), 02775) == 0);
    REQUIRE(unpack(folder.path / "t", tar_entry({.path = "d/f", .data = "x"})).has_value());
    CHECK(look_at(folder.path / "t/d/f").st_gid == 0);
}

TEST_CASE("whiteouts become what overlayfs takes for deleted and opaque", "[image]") {
    const Folder folder;
    REQUIRE(unpack(folder.path / "t",
                   tar_entry({.path = "gone/", .type = '5', .mode = 0755}) + tar_entry({.path = "gone/.wh.file"}) +
                       tar_entry({.path = "new/", .type = '5', .mode = 0755}) + tar_entry({.path = "new/.wh..wh..opq"}))
                .has_value());
    const auto deleted = look_at(folder.path / "t/gone/file");
    CHECK(S_ISCHR(deleted.st_mode));
    CHECK(deleted.st_rdev == 0);
    CHECK(is_opaque(open_folder(folder.path / "t/new").get()));
    CHECK_FALSE(is_opaque(open_folder(folder.path / "t/gone").get()));
}

TEST_CASE("what would leave the tree is refused or stays in it", "[image]") {
    const Folder folder;
    std::filesystem::create_directory(folder.path / "outside");
    std::ofstream{folder.path / "outside/f"} << "untouched";
    const std::string out = folder.path / "outside";
    const std::pair<const char*, std::string> bad[] = {
        {"..", tar_entry({.path = "../outside/f", .data = "x"})},
        {".. in the middle", tar_entry({.path = "a/../../outside/f", .data = "x"})},
        {"link, then a file through it",
         tar_entry({.path = "l", .type = '2', .link = out}) + tar_entry({.path = "l/f", .data = "x"})},
        {"link upwards, then a file through it",
         tar_entry({.path = "l", .type = '2', .link = "../outside"}) + tar_entry({.path = "l/f", .data = "x"})},
        {"hard link with ..", tar_entry({.path = "h", .type = '1', .link = "../outside/f"})},
        {"hard link through a link", tar_entry({.path = "l", .type = '2', .link = out}) +
                                         tar_entry({.path = "h", .type = '1', .link = "l/f"}) +
                                         tar_entry({.path = "h", .data = "x"})},
        {"whiteout of ..", tar_entry({.path = ".wh..."})},
        {"file over the root",
         tar_entry({.path = "./", .type = '0', .data = ""}) + tar_entry({.path = "/", .type = '2', .link = out})},
        {"name too long for the tree",
         tar_entry({.path = "x", .type = 'x', .data = pax_record("path", std::string(256, 'n'))}) +
             tar_entry({.path = "a"})},
        {"device 0:0, a forged whiteout", tar_entry({.path = "w", .type = '3'})},
    };
    int number = 0;
    for (const auto& [what, archive] : bad) {
        INFO(what);
        const auto done = unpack(folder.path / std::to_string(number++), archive);
        CHECK(content(folder.path / "outside/f") == "untouched");
        CHECK(look_at(folder.path / "outside/f").st_nlink == 1);
        CHECK(std::distance(std::filesystem::directory_iterator{folder.path / "outside"}, {}) == 1);
        if (std::string_view{what} != "hard link through a link")
            CHECK_FALSE(done.has_value());
    }
}

TEST_CASE("an absolute name is one below the layer's root", "[image]") {
    const Folder folder;
    REQUIRE(unpack(folder.path / "t", tar_entry({.path = "/etc/f", .data = "x"})).has_value());
    CHECK(content(folder.path / "t/etc/f") == "x");
}

TEST_CASE("attributes that steer overlayfs are not taken from a layer", "[image]") {
    CHECK(takes_xattr("user.mark"));
    CHECK(takes_xattr("security.capability"));
    for (const char* name : {"user.overlay.opaque", "user.overlay.redirect", "trusted.overlay.opaque",
                             "security.selinux", "security.ima", "user.", ""})
        CHECK_FALSE(takes_xattr(name));
}

TEST_CASE("a later entry takes the place of an earlier one, whatever both are", "[image]") {
    const Folder folder;
    REQUIRE(unpack(folder.path / "t", tar_entry({.path = "x/", .type = '5', .mode = 0755}) +
                                          tar_entry({.path = "x/deep/f", .data = "1"}) +
                                          tar_entry({.path = "x", .data = "file"}))
                .has_value());
    CHECK(content(folder.path / "t/x") == "file");
}

TEST_CASE("too many entries and too large sparse files are refused", "[image]") {
    const Folder folder;
    LayerLimits few;
    few.entries = 2;
    std::string three;
    for (const char* name : {"a", "b", "c"})
        three += tar_entry({.path = name});
    CHECK_FALSE(unpack(folder.path / "few", three, few).has_value());
    LayerLimits small;
    small.file_size = 1000;
    const std::string records = pax_record("GNU.sparse.map", "0,5") + pax_record("GNU.sparse.size", "2000");
    CHECK_FALSE(
        unpack(folder.path / "small",
               tar_entry({.path = "x", .type = 'x', .data = records}) + tar_entry({.path = "s", .data = "12345"}),
               small)
            .has_value());
}

TEST_CASE("a folder that a layer only implies is as the layer below has it", "[image]") {
    const Folder folder;
    REQUIRE(unpack(folder.path / "low", tar_entry({.path = "d/", .type = '5', .mode = 0711, .mtime = 77})).has_value());
    const auto debts = unpack(folder.path / "high", tar_entry({.path = "d/f", .data = "x"}));
    REQUIRE(debts.has_value());
    CHECK(debts->implied_folders == std::vector<std::string>{"d"});
    const auto lowers = layers({folder.path / "low"});
    REQUIRE(settle(open_folder(folder.path / "high").get(), *debts, lowers).has_value());
    CHECK((look_at(folder.path / "high/d").st_mode & 07777) == 0711);
    CHECK(look_at(folder.path / "high/d").st_mtime == 77);
}

TEST_CASE("a hard link to a file of the layer below gets a copy of it, and to nothing is an error", "[image]") {
    const Folder folder;
    REQUIRE(unpack(folder.path / "low", tar_entry({.path = "f", .data = "below", .mode = 0640})).has_value());
    const auto lowers = layers({folder.path / "low"});
    const auto good = unpack(folder.path / "good", tar_entry({.path = "h", .type = '1', .link = "f"}));
    REQUIRE(good.has_value());
    REQUIRE(settle(open_folder(folder.path / "good").get(), *good, lowers).has_value());
    CHECK(content(folder.path / "good/h") == "below");
    CHECK((look_at(folder.path / "good/h").st_mode & 07777) == 0640);
    const auto bad = unpack(folder.path / "bad", tar_entry({.path = "h", .type = '1', .link = "missing"}));
    REQUIRE(bad.has_value());
    CHECK_FALSE(settle(open_folder(folder.path / "bad").get(), *bad, lowers).has_value());
}

TEST_CASE("a hard link in a folder that is a link below goes where that leads", "[image]") {
    const Folder folder;
    REQUIRE(unpack(folder.path / "low", tar_entry({.path = "usr/", .type = '5', .mode = 0755}) +
                                            tar_entry({.path = "usr/lib/", .type = '5', .mode = 0755}) +
                                            tar_entry({.path = "lib", .type = '2', .link = "usr/lib"}) +
                                            tar_entry({.path = "f", .data = "below"}))
                .has_value());
    const auto lowers = layers({folder.path / "low"});
    const auto debts = unpack(folder.path / "high", tar_entry({.path = "lib/a", .data = "a"}) +
                                                        tar_entry({.path = "lib/h", .type = '1', .link = "f"}));
    REQUIRE(debts.has_value());
    REQUIRE(settle(open_folder(folder.path / "high").get(), *debts, lowers).has_value());
    CHECK(content(folder.path / "high/usr/lib/a") == "a");
    CHECK(content(folder.path / "high/usr/lib/h") == "below");
}

TEST_CASE("a folder in the place of what is deleted has the same time whenever it is unpacked", "[image]") {
    const Folder folder;
    REQUIRE(unpack(folder.path / "tree", tar_entry({.path = ".wh.d"}) + tar_entry({.path = "d/f"})).has_value());
    CHECK(look_at(folder.path / "tree/d").st_mtime == 0);
}

TEST_CASE("folders that are only implied count as entries", "[image]") {
    const Folder folder;
    LayerLimits limits;
    limits.entries = 10;
    CHECK_FALSE(unpack(folder.path / "many", tar_entry({.path = "1/2/3/4/5/6/7/8/9/10/f"}), limits).has_value());
    CHECK(unpack(folder.path / "few", tar_entry({.path = "1/2/3/4/5/6/7/8/9/f"}), limits).has_value());
}

TEST_CASE("what is moved into a folder does not change the time that the layer says", "[image]") {
    const Folder folder;
    REQUIRE(unpack(folder.path / "low", tar_entry({.path = "usr/", .type = '5'}) +
                                            tar_entry({.path = "f", .data = "f"}) +
                                            tar_entry({.path = "lib", .type = '2', .link = "usr/lib"}) +
                                            tar_entry({.path = "usr/lib/", .type = '5'}))
                .has_value());
    const auto debts = unpack(folder.path / "high", tar_entry({.path = "./", .type = '5', .mtime = 5}) +
                                                        tar_entry({.path = "lib/a", .data = "a"}) +
                                                        tar_entry({.path = "d/", .type = '5', .mtime = 6}) +
                                                        tar_entry({.path = "d/l", .type = '1', .link = "f"}) +
                                                        tar_entry({.path = "usr/", .type = '5', .mtime = 7}));
    REQUIRE(debts.has_value());
    REQUIRE(settle(open_folder(folder.path / "high").get(), *debts, layers({folder.path / "low"})).has_value());
    CHECK(content(folder.path / "high/usr/lib/a") == "a");
    CHECK(content(folder.path / "high/d/l") == "f");
    CHECK(look_at(folder.path / "high").st_mtime == 5);
    CHECK(look_at(folder.path / "high/d").st_mtime == 6);
    CHECK(look_at(folder.path / "high/usr").st_mtime == 7);
}

TEST_CASE("a folder that was named through a link and is replaced is not missed", "[image]") {
    const Folder folder;
    const std::string named = tar_entry({.path = "l", .type = '2', .link = "d"}) +
                              tar_entry({.path = "d/", .type = '5'}) + tar_entry({.path = "l/e/", .type = '5'}) +
                              tar_entry({.path = "l/i/f"});
    const auto debts = unpack(folder.path / "tree", named + tar_entry({.path = "d", .data = "a file"}));
    REQUIRE(debts.has_value());
    REQUIRE(settle(open_folder(folder.path / "tree").get(), *debts, {}).has_value());
    CHECK(content(folder.path / "tree/d") == "a file");
}

TEST_CASE("what comes below a folder that is a file by then is refused", "[image]") {
    const Folder folder;
    const std::string replaced = tar_entry({.path = "d/f"}) + tar_entry({.path = "d", .data = "a file"});
    CHECK_FALSE(unpack(folder.path / "one", replaced + tar_entry({.path = "d/g"})).has_value());
    CHECK_FALSE(unpack(folder.path / "two", replaced + tar_entry({.path = "d/.wh.f"})).has_value());
}

TEST_CASE("a link that leads elsewhere by now is followed there", "[image]") {
    const Folder folder;
    REQUIRE(unpack(folder.path / "tree",
                   tar_entry({.path = "d/", .type = '5'}) + tar_entry({.path = "e/", .type = '5'}) +
                       tar_entry({.path = "l", .type = '2', .link = "d"}) + tar_entry({.path = "l/a", .data = "a"}) +
                       tar_entry({.path = "l", .type = '2', .link = "e"}) + tar_entry({.path = "l/b", .data = "b"}))
                .has_value());
    CHECK(content(folder.path / "tree/d/a") == "a");
    CHECK(content(folder.path / "tree/e/b") == "b");
}

TEST_CASE("a copy of a file below has its holes", "[image]") {
    const Folder folder;
    std::filesystem::create_directories(folder.path / "low");
    std::ofstream{folder.path / "low/f"} << "begin";
    std::filesystem::resize_file(folder.path / "low/f", 100 << 20);
    const auto debts = unpack(folder.path / "high", tar_entry({.path = "h", .type = '1', .link = "f"}));
    REQUIRE(debts.has_value());
    REQUIRE(settle(open_folder(folder.path / "high").get(), *debts, layers({folder.path / "low"})).has_value());
    CHECK(std::filesystem::file_size(folder.path / "high/h") == 100 << 20);
    CHECK(look_at(folder.path / "high/h").st_blocks * 512 < 1 << 20);
    CHECK(content(folder.path / "high/h").starts_with(std::string("begin\0", 6)));
}
