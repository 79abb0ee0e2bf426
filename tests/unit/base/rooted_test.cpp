#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

using namespace ctrd;

namespace {

/// A rootfs with links that try to lead out of it, and beside it what they aim at.
struct Tree {
    std::filesystem::path base;
    UniqueFd root;

    Tree() {
        char name[] = "/tmp/ctrd-rooted-XXXXXX";
        base = ::mkdtemp(name);
        for (const char* folder : {"outside", "root", "root/etc", "root/tmp"})
            std::filesystem::create_directory(base / folder);
        REQUIRE(write_atomic(base / "outside/secret", "host", 0600).has_value());
        REQUIRE(write_atomic(base / "root/etc/passwd", "container", 0600).has_value());
        std::filesystem::create_symlink("../../outside", base / "root/up");
        std::filesystem::create_symlink(base / "outside", base / "root/absolute");
        std::filesystem::create_symlink("/proc/self/root", base / "root/magic");
        std::filesystem::create_symlink("etc", base / "root/inner");
        root = UniqueFd{::open((base / "root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    }
    ~Tree() { std::filesystem::remove_all(base); }
};

} // namespace

TEST_CASE("a link in the rootfs leads where it leads inside the container, never to the host", "[rooted]") {
    const Tree tree;
    CHECK(rooted::read_file(tree.root.get(), "/inner/passwd", 100).value() == "container");
    CHECK(rooted::read_file(tree.root.get(), "../../root/etc/passwd", 100).has_value() == false);
    CHECK(rooted::read_file(tree.root.get(), "/../../etc/passwd", 100).value() == "container");
    CHECK_FALSE(rooted::read_file(tree.root.get(), "/up/secret", 100).has_value());
    CHECK_FALSE(rooted::read_file(tree.root.get(), "/absolute/secret", 100).has_value());
    CHECK_FALSE(rooted::read_file(tree.root.get(), "/magic/etc/passwd", 100).has_value());
}

TEST_CASE("folders are made inside the root also where links point out of it", "[rooted]") {
    const Tree tree;
    const UniqueFd made{rooted::make_dirs_raw(tree.root.get(), "/a/b/c", 0755)};
    CHECK(made);
    CHECK(std::filesystem::is_directory(tree.base / "root/a/b/c"));
    const UniqueFd through_link{rooted::make_dirs_raw(tree.root.get(), "/up/x", 0755)};
    CHECK_FALSE(std::filesystem::exists(tree.base / "outside/x"));
    const UniqueFd upward{rooted::make_dirs_raw(tree.root.get(), "/../../outside/y", 0755)};
    CHECK(upward);
    CHECK_FALSE(std::filesystem::exists(tree.base / "outside/y"));
    CHECK(std::filesystem::is_directory(tree.base / "root/outside/y"));
}

TEST_CASE("with RESOLVE_NO_SYMLINKS a link on the way is refused", "[rooted]") {
    const Tree tree;
    CHECK(rooted::make_dirs_raw(tree.root.get(), "/inner/x", 0755, RESOLVE_NO_SYMLINKS) == -1);
    CHECK(errno == ELOOP);
    CHECK(rooted::make_file_raw(tree.root.get(), "/inner/f", 0644, RESOLVE_NO_SYMLINKS) == -1);
    CHECK_FALSE(std::filesystem::exists(tree.base / "root/etc/f"));
}

TEST_CASE("files are made with their folders, and what is there is left alone", "[rooted]") {
    const Tree tree;
    const UniqueFd made{rooted::make_file_raw(tree.root.get(), "/var/run/x", 0644)};
    CHECK(made);
    CHECK(std::filesystem::is_regular_file(tree.base / "root/var/run/x"));
    const UniqueFd there{rooted::make_file_raw(tree.root.get(), "/etc/passwd", 0644)};
    CHECK(there);
    CHECK(rooted::read_file(tree.root.get(), "/etc/passwd", 100).value() == "container");
}

TEST_CASE("what a link leads to is made where it is missing, inside the root", "[rooted]") {
    const Tree tree;
    std::filesystem::create_symlink("../run/resolv.conf", tree.base / "root/etc/resolv.conf");
    const UniqueFd beside{rooted::make_file_raw(tree.root.get(), "/etc/resolv.conf", 0644)};
    CHECK(beside);
    CHECK(std::filesystem::is_regular_file(tree.base / "root/run/resolv.conf"));

    std::filesystem::create_symlink("/tmp/deep", tree.base / "root/jump");
    std::filesystem::create_symlink("/jump/a/hosts", tree.base / "root/etc/hosts");
    const UniqueFd through_two{rooted::make_file_raw(tree.root.get(), "/etc/hosts", 0644)};
    CHECK(through_two);
    CHECK(std::filesystem::is_regular_file(tree.base / "root/tmp/deep/a/hosts"));

    std::filesystem::create_symlink((tree.base / "outside/made").string(), tree.base / "root/out");
    const UniqueFd out{rooted::make_file_raw(tree.root.get(), "/out", 0644)};
    CHECK(out);
    std::filesystem::create_symlink("../../../../../../../.." + (tree.base / "outside/more").string(),
                                    tree.base / "root/etc/up");
    const UniqueFd up{rooted::make_dirs_raw(tree.root.get(), "/etc/up/x", 0755)};
    CHECK(up);
    CHECK_FALSE(std::filesystem::exists(tree.base / "outside/made"));
    CHECK_FALSE(std::filesystem::exists(tree.base / "outside/more"));
}

TEST_CASE("links to each other are refused, and so is a chain of too many", "[rooted]") {
    const Tree tree;
    std::filesystem::create_symlink("b", tree.base / "root/a");
    std::filesystem::create_symlink("a", tree.base / "root/b");
    CHECK(rooted::make_file_raw(tree.root.get(), "/a", 0644) == -1);
    CHECK(errno == ELOOP);
    for (int i = 0; i < 30; ++i)
        std::filesystem::create_symlink("/l" + std::to_string(i + 1), tree.base / ("root/l" + std::to_string(i)));
    CHECK(rooted::make_dirs_raw(tree.root.get(), "/l0/x", 0755) == -1);
    CHECK(errno == ELOOP);
    CHECK(rooted::make_file_raw(tree.root.get(), "/l0", 0644) == -1);
    CHECK(errno == ELOOP);
}

TEST_CASE("a FIFO in the rootfs blocks nobody", "[rooted]") {
    const Tree tree;
    REQUIRE(::mkfifo((tree.base / "root/etc/fifo").c_str(), 0600) == 0);
    CHECK_FALSE(rooted::read_file(tree.root.get(), "/etc/fifo", 100).has_value());
}

TEST_CASE("a file larger than the limit is refused", "[file]") {
    const Tree tree;
    CHECK_FALSE(rooted::read_file(tree.root.get(), "/etc/passwd", 8).has_value());
    CHECK(rooted::read_file(tree.root.get(), "/etc/passwd", 9).has_value());
}
