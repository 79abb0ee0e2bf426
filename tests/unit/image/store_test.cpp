#include "ctrd/base/file.hpp"
#include "ctrd/image/gc.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/load.hpp"
#include "tests/unit/image/tar_maker.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/file.h>

#include <fstream>

using namespace ctrd;
using namespace ctrd::image;
using namespace ctrd::image::test;

namespace {

std::string layer_with(const std::string& content) {
    return tar_entry({.path = "etc/", .type = '5', .mode = 0755}) + tar_entry({.path = "etc/motd", .data = content}) +
           end_of_tar();
}

std::string config_for(const std::string& layer) {
    return R"({"architecture":"amd64","os":"linux","config":{"Cmd":["/bin/true"]},"rootfs":{"type":"layers","diff_ids":[")" +
           digest_of(layer).text() + R"("]}})";
}

/// As `docker save` writes it.
std::string docker_archive(const std::string& name, const std::string& config, const std::string& layer) {
    return tar_entry({.path = "c.json", .data = config}) + tar_entry({.path = "l.tar", .data = layer}) +
           tar_entry({.path = "manifest.json",
                      .data = R"([{"Config":"c.json","RepoTags":[")" + name + R"("],"Layers":["l.tar"]}])"}) +
           end_of_tar();
}

struct TestStore {
    Folder folder{};
    Store store{*Store::open(folder.path / "store")};

    Result<std::vector<Tag>> load(const std::string& archive, LoadRequest request = {}) {
        const auto file = folder.path / "archive.tar";
        std::ofstream{file} << archive;
        request.platform = {"linux", "amd64", ""};
        return load_archive(store, UniqueFd{::open(file.c_str(), O_RDONLY | O_CLOEXEC)}, request);
    }
    Result<std::vector<Tag>> load_simple(const std::string& name, const std::string& content) {
        const std::string layer = layer_with(content);
        return load(docker_archive(name, config_for(layer), layer));
    }
    [[nodiscard]] bool is_empty(const char* part) const {
        return std::filesystem::is_empty(folder.path / "store" / part);
    }
};

} // namespace

TEST_CASE("an archive of docker's becomes an image under its own name", "[image]") {
    TestStore test;
    const auto tags = test.load_simple("host.example/web:1", "hello");
    REQUIRE(tags.has_value());
    REQUIRE(tags->size() == 1);
    CHECK(tags->front().name == "host.example/web:1");
    const auto found = find_image(test.store, "host.example/web:1");
    REQUIRE(found.has_value());
    const auto image = test.store.load(found->manifest);
    REQUIRE(image.has_value());
    CHECK(image->config.command == std::vector<std::string>{"/bin/true"});
    std::ifstream motd{test.folder.path / "store/layers" / Store::layer_name(image->chain.front()) / "etc/motd"};
    CHECK(std::string{std::istreambuf_iterator<char>{motd}, {}} == "hello");
    CHECK(verify(test.store)->empty());
}

TEST_CASE("an image is found by its digest and by the beginning of it", "[image]") {
    TestStore test;
    const auto tags = test.load_simple("host.example/web:1", "hello");
    REQUIRE(tags.has_value());
    const Digest digest = tags->front().manifest;
    CHECK(find_image(test.store, digest.text())->name == "host.example/web:1");
    CHECK(find_image(test.store, digest.hex().substr(0, 8))->name == "host.example/web:1");
    CHECK(find_image(test.store, "host.example/web@" + digest.text())->name == "host.example/web:1");
    const std::string other(64, 'a');
    CHECK_FALSE(find_image(test.store, "host.example/web@sha256:" + other).has_value());
    CHECK_FALSE(find_image(test.store, "host.example/none").has_value());
}

TEST_CASE("a layer that is not what the config says leaves no image and nothing lying around", "[image]") {
    TestStore test;
    const auto tags = test.load(docker_archive("host.example/web:1", config_for(layer_with("a")), layer_with("b")));
    REQUIRE_FALSE(tags.has_value());
    CHECK(tags.error().message.find("as the image's config says") != std::string::npos);
    for (const char* part : {"tags", "layers", "tmp", "blobs/sha256"})
        CHECK(test.is_empty(part));
}

TEST_CASE("bytes that are not the layer they claim to be are refused where that layer is stored already", "[image]") {
    TestStore test;
    REQUIRE(test.load_simple("host.example/web:1", "a").has_value());
    const auto lies = test.load(docker_archive("host.example/lies:1", config_for(layer_with("a")), layer_with("b")));
    CHECK_FALSE(lies.has_value());
    CHECK_FALSE(find_image(test.store, "host.example/lies:1").has_value());
}

TEST_CASE("an archive does not take another image's name by itself", "[image]") {
    TestStore test;
    REQUIRE(test.load_simple("host.example/web:1", "one").has_value());
    const auto again = test.load_simple("host.example/web:1", "two");
    REQUIRE_FALSE(again.has_value());
    CHECK(again.error().code == std::errc::file_exists);
    const std::string layer = layer_with("two");
    CHECK(test.load(docker_archive("host.example/web:1", config_for(layer), layer), {.replace = true}).has_value());
}

TEST_CASE("prune takes what no name and no container leads to, and nothing else", "[image]") {
    TestStore test;
    const auto kept = test.load_simple("host.example/kept:1", "kept");
    const auto used = test.load_simple("host.example/used:1", "used");
    const auto gone = test.load_simple("host.example/gone:1", "gone");
    REQUIRE((kept && used && gone));
    REQUIRE(test.store.remove_tag("host.example/used:1").value());
    REQUIRE(test.store.remove_tag("host.example/gone:1").value());
    const auto in_use = [&]() -> Result<Kept> { return Kept{{{"web", "", used->front().manifest, true}}, {}}; };
    REQUIRE(prune(test.store, in_use, true)->layers.size() == 1);
    CHECK(test.store.load(gone->front().manifest).has_value());
    const auto removed = prune(test.store, in_use, false);
    REQUIRE(removed.has_value());
    CHECK(removed->layers.size() == 1);
    CHECK(removed->blobs.size() == 3); // layer, config, manifest
    CHECK(test.store.load(kept->front().manifest).has_value());
    CHECK(test.store.load(used->front().manifest).has_value());
    CHECK_FALSE(test.store.load(gone->front().manifest).has_value());
}

TEST_CASE("what a container has written stays as long as its image is its own", "[image]") {
    TestStore test;
    const auto tags = test.load_simple("host.example/web:1", "hello");
    REQUIRE(tags.has_value());
    const Digest digest = tags->front().manifest;
    const std::string top = Store::layer_name(test.store.load(digest)->chain.back());
    const auto make = [&](const std::string& container, const std::string& layer) {
        const auto folder = test.folder.path / "store" / changes_folder(container, layer) / "upper";
        std::filesystem::create_directories(folder);
        return folder;
    };
    const auto web = make("web", top), older = make("web", "sha256-older"), gone = make("gone", top),
               declared = make("declared", top);
    const auto kept = [&]() -> Result<Kept> { return Kept{{{"web", "", digest, false}}, {"web", "declared"}}; };
    REQUIRE(prune(test.store, kept, true)->changes.size() == 2);
    CHECK(std::filesystem::exists(gone));
    REQUIRE(prune(test.store, kept, false)->changes.size() == 2);
    CHECK(std::filesystem::exists(web));
    CHECK(std::filesystem::exists(declared));
    CHECK_FALSE(std::filesystem::exists(older));
    CHECK_FALSE(std::filesystem::exists(gone.parent_path().parent_path()));
}

TEST_CASE("a container keeps the image that it was pinned to until it is asked for another name", "[image]") {
    TestStore test;
    const auto one = test.load_simple("host.example/web:1", "one");
    REQUIRE(one.has_value());
    const Digest first = one->front().manifest;
    CHECK(image_of(test.store, "web", "host.example/web:1") == first);
    REQUIRE(set_pin(test.store, {"web", "host.example/web:1", first, 0}).has_value());
    const std::string layer = layer_with("two");
    const auto two = test.load(docker_archive("host.example/web:1", config_for(layer), layer), {.replace = true});
    REQUIRE(two.has_value());
    CHECK(image_of(test.store, "web", "host.example/web:1") == first);
    CHECK(image_of(test.store, "other", "host.example/web:1") == two->front().manifest);
    // No name leads to it any more, and it stays.
    const auto kept = [&]() -> Result<Kept> { return Kept{*uses(test.store, "/nonexistent"), {}}; };
    CHECK(prune(test.store, kept, false)->blobs.empty());
    CHECK_FALSE(image_of(test.store, "web", "host.example/web:2").has_value());
    REQUIRE(remove_pin(test.store, "web").has_value());
    CHECK(image_of(test.store, "web", "host.example/web:1") == two->front().manifest);
    CHECK(prune(test.store, kept, false)->layers.size() == 1);
}

TEST_CASE("notes of uses are read back, and a damaged one is an error", "[image]") {
    TestStore test;
    const auto tags = test.load_simple("host.example/web:1", "hello");
    REQUIRE(tags.has_value());
    const Digest digest = tags->front().manifest;
    const auto run = test.folder.path / "run";
    std::filesystem::create_directories(run / "run");
    std::filesystem::create_directories(run / "compiled/api");
    std::ofstream{run / "run/web.image"} << use_text(digest.text(), "host.example/web:1");
    std::ofstream{run / "compiled/api/image"} << use_text(digest.text(), "host.example/web:1");
    const auto found = uses(test.store, run);
    REQUIRE(found.has_value());
    REQUIRE(found->size() == 2);
    CHECK(found->front().container == "api");
    CHECK(found->back().container == "web");
    CHECK(found->back().running);
    CHECK(found->back().image == "host.example/web:1");
    CHECK(found->back().digest == digest);
    std::ofstream{run / "run/web.image"} << "sha256:12";
    CHECK_FALSE(uses(test.store, run).has_value());
}

TEST_CASE("a damaged document stops prune, and verify names it", "[image]") {
    TestStore test;
    const auto tags = test.load_simple("host.example/web:1", "hello");
    REQUIRE(tags.has_value());
    std::ofstream{test.folder.path / "store/blobs/sha256" / tags->front().manifest.hex(), std::ios::app} << " ";
    CHECK_FALSE(prune(
                    test.store, []() -> Result<Kept> { return Kept{}; }, false)
                    .has_value());
    const auto problems = verify(test.store);
    REQUIRE(problems.has_value());
    REQUIRE(problems->size() == 1);
    CHECK(problems->front().what == "host.example/web:1");
}

TEST_CASE("what the dead left goes with the next opening, what the living make stays", "[image]") {
    TestStore test;
    const auto mine = Workspace::make(test.store);
    REQUIRE(mine.has_value());
    std::filesystem::create_directories(test.folder.path / "store/tmp/work-1/deep/er");
    const auto again = Store::open(test.folder.path / "store");
    REQUIRE(again.has_value());
    const auto tmp = test.folder.path / "store/tmp";
    CHECK(std::distance(std::filesystem::directory_iterator{tmp}, {}) == 1);
    CHECK_FALSE(std::filesystem::exists(tmp / "work-1"));
}

TEST_CASE("a layer that unpacks to much more than it is, or than is allowed, is refused", "[image]") {
    TestStore test;
    LoadRequest request;
    request.options.limits.bytes = 4096;
    const std::string layer = layer_with(std::string(10'000, 'x'));
    const auto loaded = test.load(docker_archive("host.example/web:1", config_for(layer), layer), request);
    REQUIRE_FALSE(loaded.has_value());
    CHECK(loaded.error().code == std::errc::file_too_large);
    CHECK(test.is_empty("tmp"));
}

TEST_CASE("the beginning of a blob becomes the blob, and prune takes one that does not", "[image]") {
    TestStore test;
    const Digest whole = digest_of("whole");
    const Digest begun = digest_of("begun");
    {
        const auto file = test.store.open_partial(whole);
        REQUIRE(file);
        REQUIRE(write_all(file->get(), "whole"));
        REQUIRE(test.store.keep_partial(whole));
        CHECK(test.store.has_blob(whole));
        REQUIRE(write_all(test.store.open_partial(begun)->get(), "beg"));
    }
    {
        const auto again = test.store.open_partial(begun);
        REQUIRE(again);
        REQUIRE(write_all(again->get(), "un")); // behind what was there
    }
    CHECK(std::filesystem::file_size(test.folder.path / "store/partial" / ("sha256-" + begun.hex())) == 5);
    REQUIRE(prune(
        test.store, [] { return Result<Kept>{}; }, false));
    CHECK(std::filesystem::is_empty(test.folder.path / "store/partial"));
}

TEST_CASE("an image that is named by its digest alone is found by it", "[image]") {
    const std::string digest = "sha256:" + std::string(64, '1');
    CHECK(*tag_name("r.example/a@" + digest) == "r.example/a@" + digest);
    CHECK(*tag_name("r.example/a:1@" + digest) == "r.example/a:1");
    CHECK(*tag_name("r.example/a") == "r.example/a:latest");
}
