#include "config/image_settings.hpp"

#include <catch2/catch.hpp>

using namespace ctrd::config;

TEST_CASE("images.toml bounds the image store", "[config]") {
    CHECK_FALSE(parse_image_settings("", "f")->max_size.has_value());
    CHECK(parse_image_settings("max-size = \"20G\"", "f")->max_size == std::uint64_t{20} << 30);
    CHECK(parse_image_settings("max-size = 4096", "f")->max_size == 4096U);
    CHECK_FALSE(read_image_settings("/nowhere/images.toml")->max_size.has_value());
    for (const char* text :
         {"max-size = \"0\"", "max-size = \"G\"", "max-size = \"-1G\"", "max-size = \"20 G\"",
          "max-size = \"99999999999T\"", "max-size = true", "maxsize = 1", "[images]\n", "max-size ="})
        CHECK_FALSE(parse_image_settings(text, "f").has_value());
    CHECK(parse_image_settings("", "f")->verity == Verity::no);
    CHECK(parse_image_settings("verity = \"auto\"", "f")->verity == Verity::automatic);
    CHECK(parse_image_settings("verity = \"require\"", "f")->verity == Verity::required);
    CHECK_FALSE(parse_image_settings("verity = \"yes\"", "f").has_value());
    CHECK_FALSE(parse_image_settings("verity = true", "f").has_value());
    CHECK(parse_image_settings("", "f")->layers == LayerStorage::folders);
    CHECK(parse_image_settings("layers = \"folders\"", "f")->layers == LayerStorage::folders);
    CHECK(parse_image_settings("layers = \"erofs\"", "f")->layers == LayerStorage::erofs);
    CHECK_FALSE(parse_image_settings("layers = \"squashfs\"", "f").has_value());
    CHECK(parse_image_settings("max-sise = 1", "f").error().front().hint == "did you mean 'max-size'?");
    CHECK(parse_image_settings("\n max-sise = 1", "f").error().front().at.line == 2);
}
