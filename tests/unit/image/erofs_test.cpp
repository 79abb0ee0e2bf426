// Layers that become EROFS files, read back without the kernel. What it makes of them is
// tests/integration/75-layers.py's.
#include "ctrd/image/erofs_layer.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/layer_node.hpp"
#include "tests/unit/image/tar_maker.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

using namespace ctrd;
using namespace ctrd::image;
using namespace ctrd::image::test;

namespace {

struct Made {
    UniqueFd file{};
    bool fits{false};
};

UniqueFd reopened(int fd) {
    return UniqueFd{::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY | O_CLOEXEC)};
}

Result<Made> make(const std::string& archive, std::span<const LayerNode> lowers = {}, LayerLimits limits = {}) {
    Made made{UniqueFd{::memfd_create("layer", MFD_CLOEXEC)}};
    ErofsLayer layer{made.file.get(), limits};
    PieceSource source{archive + end_of_tar()};
    TarReader reader{source};
    while (auto entry = TRY(reader.next()))
        TRY_VOID(layer.add(*entry, reader));
    TRY_VOID(layer.finish());
    made.fits = TRY(layer.settle(lowers, digest_of("chain", Algorithm::sha256)));
    return made;
}

std::vector<LayerNode> layer_of(const std::string& archive, std::span<const LayerNode> lowers = {}) {
    const auto made = make(archive, lowers);
    REQUIRE(made.has_value());
    REQUIRE(made->fits);
    return {*LayerNode::root(reopened(made->file.get()))};
}

/// Where a path leads in one layer, links not followed; nothing where it leads nowhere.
std::optional<LayerNode> at(const std::vector<LayerNode>& layer, const std::string& path) {
    std::optional<LayerNode> node{layer.front()};
    for (std::size_t begin = 0; node && begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        auto child = node->child(path.substr(begin, end - begin));
        REQUIRE(child.has_value());
        node = *child;
        begin = end + 1;
    }
    return node;
}

std::string content(const std::vector<LayerNode>& layer, const std::string& path) {
    const auto node = at(layer, path);
    return node ? node->read(1U << 24).value_or("not read") : "not there";
}

std::string some_bytes(std::size_t size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i)
        bytes += static_cast<char>(i * 7 + i / 256);
    return bytes;
}

std::string with_xattr(const std::string& name, const std::string& value, const Header& header) {
    return tar_entry({.path = "x", .type = 'x', .data = pax_record("SCHILY.xattr." + name, value)}) + tar_entry(header);
}

} // namespace

TEST_CASE("a file's content comes back, wherever a block ends", "[image][erofs]") {
    std::string archive;
    const std::size_t sizes[] = {0,    1,    2047, 2048, 2049, 4031, 4032, 4033,
                                 4095, 4096, 4097, 6144, 6145, 8191, 8192, 50000};
    for (const std::size_t size : sizes)
        archive += tar_entry({.path = std::to_string(size), .data = some_bytes(size)});
    const auto layer = layer_of(archive);
    for (const std::size_t size : sizes) {
        CHECK(content(layer, std::to_string(size)) == some_bytes(size));
        CHECK(at(layer, std::to_string(size))->stat().st_size == static_cast<off_t>(size));
    }
}

TEST_CASE("what an inode says comes back", "[image][erofs]") {
    const auto layer = layer_of(tar_entry({.path = "./", .type = '5', .mode = 0711, .mtime = 9}) +
                                tar_entry({.path = "f", .data = "f", .mode = 04751, .mtime = 5'000'000'000}) +
                                tar_entry({.path = "p", .type = '6'}) +
                                tar_entry({.path = "c", .type = '3', .major = 4095, .minor = (1U << 20) - 1}) +
                                tar_entry({.path = "l", .type = '2', .link = "to/there"}));
    CHECK((layer.front().stat().st_mode & 07777) == 0711);
    CHECK(layer.front().stat().st_mtim.tv_sec == 9);
    CHECK(at(layer, "f")->stat().st_mode == (S_IFREG | 04751U));
    CHECK(at(layer, "f")->stat().st_mtim.tv_sec == 5'000'000'000);
    CHECK(S_ISFIFO(at(layer, "p")->stat().st_mode));
    CHECK(at(layer, "c")->stat().st_rdev == makedev(4095, (1U << 20) - 1));
    CHECK(at(layer, "l")->target() == "to/there");
}

TEST_CASE("hard links are one file, and what takes a name's place is another", "[image][erofs]") {
    const auto layer =
        layer_of(tar_entry({.path = "a", .data = "one"}) + tar_entry({.path = "b", .type = '1', .link = "a"}) +
                 tar_entry({.path = "c", .type = '1', .link = "./b"}) + tar_entry({.path = "a", .data = "another"}));
    CHECK(content(layer, "a") == "another");
    CHECK(at(layer, "a")->stat().st_nlink == 1);
    CHECK(content(layer, "b") == "one");
    CHECK(at(layer, "b")->stat().st_nlink == 2);
    CHECK(content(layer, "c") == "one");
}

TEST_CASE("a hard link goes into the place of a folder, but not of the one that its target is in", "[image][erofs]") {
    const std::string folder = tar_entry({.path = "d/x", .data = "x"});
    CHECK_FALSE(make(folder + tar_entry({.path = "d", .type = '1', .link = "d/x"})).has_value());
    const auto layer =
        layer_of(tar_entry({.path = "x", .data = "x"}) + folder + tar_entry({.path = "d", .type = '1', .link = "x"}));
    CHECK(content(layer, "d") == "x");
    const std::string also = tar_entry({.path = "g", .type = '1', .link = "d/x"});
    CHECK_FALSE(make(folder + also + tar_entry({.path = "d", .type = '1', .link = "d/x"})).has_value());
}

TEST_CASE("a folder has its names, however many and in whatever order", "[image][erofs]") {
    std::string archive;
    for (int i = 999; i >= 0; --i)
        archive += tar_entry({.path = "d/" + std::string(static_cast<std::size_t>(i % 80), 'n') + std::to_string(i)});
    for (const char* name : {"-", "!", ".a", "...", "~", "\xff"})
        archive += tar_entry({.path = "d/" + std::string{name}});
    const auto layer = layer_of(archive);
    for (int i = 0; i < 1000; ++i)
        CHECK(at(layer, "d/" + std::string(static_cast<std::size_t>(i % 80), 'n') + std::to_string(i)));
    for (const char* name : {"-", "!", ".a", "...", "~", "\xff"})
        CHECK(at(layer, "d/" + std::string{name}));
    CHECK_FALSE(at(layer, "d/n"));
    CHECK_FALSE(at(layer, "d/nn10000"));
    CHECK(at(layer, "d")->stat().st_nlink == 2);
}

TEST_CASE("paths go through the layer's own links and never out of it", "[image][erofs]") {
    const auto layer = layer_of(
        tar_entry({.path = "usr/lib/", .type = '5'}) +
        tar_entry({.path = "lib", .type = '2', .link = "../../usr/lib"}) + tar_entry({.path = "lib/a", .data = "a"}) +
        tar_entry({.path = "abs", .type = '2', .link = "/usr"}) + tar_entry({.path = "abs/lib/b", .data = "b"}));
    CHECK(content(layer, "usr/lib/a") == "a");
    CHECK(content(layer, "usr/lib/b") == "b");
    CHECK_FALSE(
        make(tar_entry({.path = "l", .type = '2', .link = "nowhere"}) + tar_entry({.path = "l/a"})).has_value());
    CHECK_FALSE(make(tar_entry({.path = "l", .type = '2', .link = "l"}) + tar_entry({.path = "l/a"})).has_value());
    CHECK_FALSE(make(tar_entry({.path = "f"}) + tar_entry({.path = "f/a"})).has_value());
    CHECK_FALSE(make(tar_entry({.path = "../a"})).has_value());
}

TEST_CASE("what is deleted or hidden below is marked as overlayfs wants it", "[image][erofs]") {
    const auto layer = layer_of(tar_entry({.path = ".wh.gone"}) + tar_entry({.path = "o/.wh..wh..opq"}) +
                                tar_entry({.path = ".wh.again"}) + tar_entry({.path = "again/", .type = '5'}) +
                                tar_entry({.path = ".wh.below"}) + tar_entry({.path = "below/f", .data = "f"}) +
                                tar_entry({.path = ".wh.file"}) + tar_entry({.path = "file", .data = "new"}) +
                                tar_entry({.path = ".wh..wh.plnk"}));
    CHECK(at(layer, "gone")->is_whiteout());
    for (const char* name : {"o", "again", "below"}) {
        CHECK(at(layer, name)->is_folder());
        CHECK(*at(layer, name)->is_opaque());
        CHECK(at(layer, name)->xattrs()->empty()); // the mark is ours
    }
    CHECK(content(layer, "file") == "new");
    CHECK_FALSE(at(layer, ".wh.gone"));
    CHECK_FALSE(at(layer, ".wh..wh.plnk"));
}

TEST_CASE("a folder that is only implied is as the file below has it", "[image][erofs]") {
    const auto low = layer_of(tar_entry({.path = "./", .type = '5', .mode = 0700, .mtime = 3}) +
                              with_xattr("user.a", "1", {.path = "d/", .type = '5', .mode = 0711, .mtime = 77}));
    const auto high = layer_of(tar_entry({.path = "d/f", .data = "x"}), low);
    CHECK((at(high, "d")->stat().st_mode & 07777) == 0711);
    CHECK(at(high, "d")->stat().st_mtim.tv_sec == 77);
    CHECK(at(high, "d")->xattrs()->size() == 1);
    CHECK((high.front().stat().st_mode & 07777) == 0700);
    const auto said = layer_of(tar_entry({.path = "d/f"}) + tar_entry({.path = "d/", .type = '5', .mode = 0750}), low);
    CHECK((at(said, "d")->stat().st_mode & 07777) == 0750);
}

TEST_CASE("a folder that nobody names has its group from one with the set-group-ID bit", "[image][erofs]") {
    const auto layer = layer_of(tar_entry({.path = "d/", .type = '5', .mode = 02711}) + tar_entry({.path = "d/i/f"}) +
                                tar_entry({.path = "d/n/", .type = '5', .mode = 0700}));
    CHECK((at(layer, "d/i")->stat().st_mode & 07777) == 02755);
    CHECK(at(layer, "d/i")->stat().st_gid == at(layer, "d")->stat().st_gid);
    CHECK((at(layer, "d/n")->stat().st_mode & 07777) == 0700);
}

TEST_CASE("attributes come back, large ones too", "[image][erofs]") {
    const std::string large = some_bytes(20000);
    const auto layer = layer_of(with_xattr("user.large", large, {.path = "f", .data = some_bytes(5000)}) +
                                with_xattr("user.overlay.opaque", "y", {.path = "d/", .type = '5'}) +
                                with_xattr("trusted.overlay.redirect", "/", {.path = "e/", .type = '5'}));
    REQUIRE(at(layer, "f")->xattrs()->size() == 1);
    CHECK(at(layer, "f")->xattrs()->front() == std::pair<std::string, std::string>{"user.large", large});
    CHECK(content(layer, "f") == some_bytes(5000));
    CHECK_FALSE(*at(layer, "d")->is_opaque());
    CHECK(at(layer, "e")->xattrs()->empty());
}

TEST_CASE("a layer that EROFS or this layer alone can't say is left to a folder", "[image][erofs]") {
    const auto low = layer_of(tar_entry({.path = "usr/lib/", .type = '5'}) +
                              tar_entry({.path = "lib", .type = '2', .link = "usr/lib"}) + tar_entry({.path = "f"}));
    const auto fits = [&](const std::string& archive) {
        const auto made = make(archive, low);
        REQUIRE(made.has_value());
        return made->fits;
    };
    CHECK(fits(tar_entry({.path = "g"})));
    CHECK_FALSE(fits(tar_entry({.path = "h", .type = '1', .link = "f"})));
    CHECK_FALSE(fits(tar_entry({.path = "lib/a"})));
    CHECK_FALSE(fits(with_xattr("user.x", std::string(65536, 'x'), {.path = "g"})));
    CHECK_FALSE(fits(with_xattr("system.posix_acl_access", "x", {.path = "g"})));
    CHECK_FALSE(fits(with_xattr("security.capability", "x", {.path = "g"})));
    CHECK_FALSE(
        fits(with_xattr("security.capability", std::string("\1\0\0\7", 4) + std::string(16, '\0'), {.path = "g"})));
    CHECK(fits(with_xattr("security.capability", std::string("\1\0\0\2", 4) + std::string(16, '\0'), {.path = "g"})));
    CHECK_FALSE(fits(with_xattr("user." + std::string(251, 'n'), "x", {.path = "g"})));
    std::string many; // of one folder, which is named twice
    for (int i = 0; i < 8; ++i)
        many += with_xattr("user.a" + std::to_string(i), std::string(60000, 'x'), {.path = "d/", .type = '5'});
    CHECK_FALSE(fits(many + tar_entry({.path = "d/x"})));
    CHECK_FALSE(fits(with_xattr("user.x", std::string(3000, 'x'), {.path = "./", .type = '5'})));
}

TEST_CASE("a layer is the same file each time", "[image][erofs]") {
    const std::string archive = tar_entry({.path = "d/f", .data = some_bytes(9000)}) +
                                tar_entry({.path = "g", .type = '1', .link = "d/f"}) + tar_entry({.path = ".wh.x"});
    const auto whole = [&] {
        const auto made = make(archive);
        std::string bytes(1U << 20, '\0');
        const ssize_t size = ::pread(made->file.get(), bytes.data(), bytes.size(), 0);
        bytes.resize(static_cast<std::size_t>(size));
        return bytes;
    };
    const std::string once = whole();
    CHECK(once.size() % 4096 == 0);
    CHECK(once == whole());
}

TEST_CASE("limits hold", "[image][erofs]") {
    LayerLimits limits;
    limits.entries = 2;
    CHECK_FALSE(
        make(tar_entry({.path = "a"}) + tar_entry({.path = "b"}) + tar_entry({.path = "c"}), {}, limits).has_value());
    limits.entries = 10;
    CHECK_FALSE(make(tar_entry({.path = "1/2/3/4/5/6/7/8/9/10/f"}), {}, limits).has_value());
    CHECK(make(tar_entry({.path = "1/2/3/4/5/6/7/8/9/f"}), {}, limits).has_value());
    limits = {};
    limits.file_size = 1000;
    CHECK_FALSE(make(tar_entry({.path = "a", .data = std::string(1001, 'a')}), {}, limits).has_value());
}

TEST_CASE("a layer that is too deep for any stack, or too much for memory, is left to a folder", "[image][erofs]") {
    const auto pax_path = [](const std::string& path, const Header& header) {
        return tar_entry({.path = "x", .type = 'x', .data = pax_record("path", path)}) + tar_entry(header);
    };
    std::string deep;
    for (int i = 0; i < 1500; ++i)
        deep += "d/";
    std::string archive = pax_path(deep, {.path = "x", .type = '5'});
    for (int i = 1; i < 4; ++i) { // each link leads to the end of what the one before it leads to
        const std::string before = i == 1 ? "" : "l" + std::to_string(i - 1) + "/";
        const std::string link = "l" + std::to_string(i);
        archive += tar_entry({.path = "x", .type = 'x', .data = pax_record("linkpath", before + deep)}) +
                   tar_entry({.path = link, .type = '2', .link = "x"}) +
                   pax_path(link + "/" + deep, {.path = "x", .type = '5'});
    }
    const auto made = make(archive);
    REQUIRE(made.has_value());
    CHECK_FALSE(made->fits);

    std::string large;
    for (int i = 0; i < 1100; ++i)
        large += with_xattr("user.x", std::string(65000, 'x'), {.path = std::to_string(i), .type = '5'});
    const auto other = make(large);
    REQUIRE(other.has_value());
    CHECK_FALSE(other->fits);
}

TEST_CASE("a damaged file is an error", "[image][erofs]") {
    const auto made = make(tar_entry({.path = "d/f", .data = some_bytes(5000)}));
    const int fd = made->file.get();
    std::string bytes(64, '\xff');
    REQUIRE(::pwrite(fd, bytes.data(), 4, 1024) == 4); // not its magic
    CHECK_FALSE(LayerNode::root(reopened(fd)).has_value());
    CHECK_FALSE(LayerNode::root(UniqueFd{::memfd_create("empty", MFD_CLOEXEC)}).has_value());
    const auto other = make(tar_entry({.path = "d/f", .data = some_bytes(5000)}));
    REQUIRE(::pwrite(other->file.get(), bytes.data(), 64, 1152) == 64); // the root's inode
    CHECK_FALSE(LayerNode::root(reopened(other->file.get())).has_value());
}
