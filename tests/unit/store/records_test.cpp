#include "ctrd/base/process.hpp"
#include "ctrd/store/records.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

using namespace ctrd;

namespace {

struct Folder {
    std::filesystem::path path;
    Folder() {
        char name[] = "/tmp/ctrd-records-XXXXXX";
        path = ::mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path); }
};

} // namespace

TEST_CASE("an id can be taken once, and again when it was removed", "[store]") {
    const Folder folder;
    const store::Records records{folder.path / "root"};
    REQUIRE(records.reserve("web").has_value());
    const auto second = records.reserve("web");
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().code == std::errc::file_exists);
    REQUIRE(records.remove("web").has_value());
    CHECK(records.reserve("web").has_value());
}

TEST_CASE("ids that are paths reach no file", "[store]") {
    const Folder folder;
    const store::Records records{folder.path / "root"};
    for (const char* bad : {"..", "../x", "a/b", ""}) {
        CHECK_FALSE(records.reserve(bad).has_value());
        CHECK_FALSE(records.load(bad).has_value());
        CHECK_FALSE(records.remove(bad).has_value());
    }
}

TEST_CASE("records are for their owner's eyes only", "[store]") {
    const Folder folder;
    const store::Records records{folder.path / "root"};
    REQUIRE(records.reserve("web").has_value());
    struct stat st {};
    REQUIRE(::stat((folder.path / "root").c_str(), &st) == 0);
    CHECK((st.st_mode & 0777) == 0700);
}

TEST_CASE("a record is read back as it was written, and its process is told from a later one with the same pid",
          "[store]") {
    const Folder folder;
    const store::Records records{folder.path / "root"};
    REQUIRE(records.reserve("web").has_value());
    store::Record record;
    record.id = "web";
    record.bundle = "/bundle";
    record.pid = ::getpid();
    record.start_time = start_time(::getpid()).value();
    record.annotations = {{"k", "v"}};
    REQUIRE(records.save(record).has_value());
    const auto loaded = records.load("web");
    REQUIRE(loaded.has_value());
    CHECK(loaded->annotations == record.annotations);
    CHECK(records.status(*loaded) == store::Status::running);
    record.start_time += 1;
    CHECK(records.status(record) == store::Status::stopped);
    CHECK(records.ids() == std::vector<std::string>{"web"});
}

TEST_CASE("a reserved id without a record is being created; a damaged record is an error", "[store]") {
    const Folder folder;
    const store::Records records{folder.path / "root"};
    REQUIRE(records.reserve("web").has_value());
    CHECK(records.status(records.load("web").value()) == store::Status::creating);
    FILE* file = std::fopen((folder.path / "root/web/record.json").c_str(), "w");
    std::fputs("{ not json", file);
    std::fclose(file);
    CHECK_FALSE(records.load("web").has_value());
}
