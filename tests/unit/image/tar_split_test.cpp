#include "ctrd/image/tar_split.hpp"

#include "ctrd/base/base64.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/image/gzip.hpp"
#include "tests/unit/image/tar_maker.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>

#include <fstream>

using namespace ctrd;

namespace {

/// A list of these lines, compressed, and a tree with "one" and "d/two".
class Layer {
public:
    explicit Layer(const std::string& lines) {
        write("one", "first");
        std::filesystem::create_directory(folder_.path / "d");
        write("d/two", "second");
        std::string packed;
        image::Gzipper gzip{[&](std::string_view data) {
            packed += data;
            return Result<void>{};
        }};
        REQUIRE(gzip.feed(lines));
        REQUIRE(gzip.finish());
        write("list", packed);
    }

    Result<std::string> rebuilt() const {
        const UniqueFd tree = TRY(open_at(AT_FDCWD, folder_.path, O_RDONLY | O_DIRECTORY));
        const UniqueFd list = TRY(open_at(tree.get(), "list", O_RDONLY));
        std::string tar;
        TRY_VOID(image::rebuild_tar(list.get(), tree.get(), [&](std::string_view data) {
            tar += data;
            return Result<void>{};
        }));
        return tar;
    }

private:
    void write(const char* name, const std::string& text) const {
        std::ofstream{folder_.path / name, std::ios::binary} << text;
    }
    image::test::Folder folder_{};
};

std::string between(const std::string& bytes) { return R"({"type":2,"payload":")" + to_base64(bytes) + "\"}\n"; }

} // namespace

TEST_CASE("a tar is put together from what stood between the files and the files", "[image]") {
    const Layer layer{between("<") + R"({"type":1,"name":"./one","size":5,"payload":"AA=="})" + "\n" + between("|") +
                      R"({"type":1,"name":"d/","payload":null})" + "\n" + R"({"type":1,"name_raw":")" +
                      to_base64("d/two") + R"(","size":6})" + "\n" + between("") + between(">")};
    const auto tar = layer.rebuilt();
    REQUIRE(tar.has_value());
    CHECK(*tar == "<first|second>");
}

TEST_CASE("a list that does not fit its tree is refused", "[image]") {
    for (const char* line :
         {R"({"type":1,"name":"none","size":1})", R"({"type":1,"name":"one","size":6})",
          R"({"type":1,"name":"d","size":1})", R"({"type":1,"size":1})",
          R"({"type":1,"name":"../../../../../../../etc/hostname","size":1})", R"({"type":1,"name":"one","size":-1})",
          R"({"type":3})", R"({"type":2,"payload":"!"})", "[]", "{"})
        CHECK_FALSE(Layer{line}.rebuilt().has_value());
}
