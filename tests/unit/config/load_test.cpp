#include "helpers.hpp"

#include <sys/stat.h>

#include <filesystem>

using namespace ctrd;
using namespace ctrd::config;

namespace {

SearchDirs dirs_below(const TemporaryFolder& folder) { return {{folder / "usr", folder / "run", folder / "etc"}}; }

UnitSpec load_spec(const TemporaryFolder& folder) {
    auto loaded = load("web", dirs_below(folder));
    INFO((loaded ? std::string{} : to_text(loaded.error())));
    REQUIRE(loaded.has_value());
    return loaded->spec;
}

} // namespace

TEST_CASE("a file in /etc takes the place of the same one in /usr/lib", "[config]") {
    const TemporaryFolder folder;
    folder.write("usr/web.toml", declaration("hostname = \"vendor\"\nuser = \"7\"\n"));
    CHECK(load_spec(folder).hostname == "vendor");
    folder.write("etc/web.toml", declaration("hostname = \"admin\"\n"));
    CHECK(load_spec(folder).hostname == "admin");
    CHECK_FALSE(load_spec(folder).user.has_value());
}

TEST_CASE("drop-ins of all folders are applied in the order of their names, the higher folder's file of a name instead "
          "of the lower",
          "[config]") {
    const TemporaryFolder folder;
    folder.write("usr/web.toml", declaration("hostname = \"main\"\n[environment]\nA = \"main\"\nB = \"main\"\n"));
    folder.write("etc/web.toml.d/10-a.conf.toml", "hostname = \"ten\"\n[environment]\nB = \"ten\"\n");
    folder.write("usr/web.toml.d/20-b.conf.toml", "hostname = \"twenty\"\n");
    folder.write("usr/web.toml.d/30-c.conf.toml", "hostname = \"vendor\"\n");
    folder.write("run/web.toml.d/30-c.conf.toml", "user = \"5\"\n");
    const auto loaded = load("web", dirs_below(folder));
    REQUIRE(loaded.has_value());
    CHECK(loaded->spec.hostname == "twenty");
    CHECK(loaded->spec.user == "5");
    CHECK(loaded->spec.environment == std::map<std::string, std::string>{{"A", "main"}, {"B", "ten"}});
    CHECK(loaded->sources == std::vector<std::string>{folder / "usr/web.toml", folder / "etc/web.toml.d/10-a.conf.toml",
                                                      folder / "usr/web.toml.d/20-b.conf.toml",
                                                      folder / "run/web.toml.d/30-c.conf.toml"});
}

TEST_CASE("a mistake is reported in the file that it was made in", "[config]") {
    const TemporaryFolder folder;
    folder.write("etc/web.toml", declaration("user = \"5\"\n"));
    folder.write("etc/web.toml.d/10.conf.toml", "\n\nuser = \"+0\"\nfoo = 1\n");
    const auto loaded = load("web", dirs_below(folder));
    REQUIRE_FALSE(loaded.has_value());
    REQUIRE(loaded.error().size() == 2);
    for (const auto& problem : loaded.error())
        CHECK(problem.at.file == folder / "etc/web.toml.d/10.conf.toml");
    CHECK_THAT(to_text(loaded.error()),
               Catch::Contains("10.conf.toml:3:8: 'user'") && Catch::Contains("10.conf.toml:4:1: unknown key"));
}

TEST_CASE("a drop-in adds sockets, changes the one of the same name, and takes all away with an empty array",
          "[config]") {
    const TemporaryFolder folder;
    folder.write("etc/web.toml", declaration("[[socket]]\nname = \"http\"\nlisten = \"8080\"\nport = 80\n"));
    folder.write("etc/web.toml.d/10.conf.toml",
                 "[[socket]]\nname = \"http\"\nlisten = \"9090\"\n[[socket]]\nlisten = \"443\"\n");
    auto spec = load_spec(folder);
    REQUIRE(spec.sockets.size() == 2);
    CHECK(spec.sockets[0].listen == "9090");
    CHECK(spec.sockets[0].port == 80);
    CHECK(spec.sockets[1].listen == "443");
    folder.write("etc/web.toml.d/20.conf.toml", "socket = []\n");
    CHECK(load_spec(folder).sockets.empty());
    folder.write("etc/web.toml.d/30.conf.toml", "[[socket]]\nlisten = \"70\"\n");
    CHECK(load_spec(folder).sockets.size() == 1);
}

TEST_CASE("a link to /dev/null or an empty file switches a container or a drop-in off", "[config]") {
    const TemporaryFolder folder;
    folder.write("usr/web.toml", declaration("hostname = \"vendor\"\n"));
    folder.write("usr/web.toml.d/10.conf.toml", "hostname = \"drop-in\"\n");
    folder.write("etc/web.toml.d/10.conf.toml", "");
    CHECK(load_spec(folder).hostname == "vendor");
    std::filesystem::create_symlink("/dev/null", folder / "etc/web.toml");
    const auto loaded = load("web", dirs_below(folder));
    REQUIRE_FALSE(loaded.has_value());
    CHECK_THAT(to_text(loaded.error()), Catch::Contains("container 'web' is masked"));
    const auto listing = list_names(dirs_below(folder));
    CHECK(listing.names.empty());
    CHECK(listing.masked == std::vector<std::string>{"web"});
}

TEST_CASE("a file whose name is no container's, and a drop-in with a wrong ending, are reported", "[config]") {
    const TemporaryFolder folder;
    folder.write("etc/web.toml", declaration());
    folder.write("etc/my_web.toml", declaration());
    folder.write("etc/README", "not a declaration");
    const auto listing = list_names(dirs_below(folder));
    CHECK(listing.names == std::vector<std::string>{"web"});
    REQUIRE(listing.problems.size() == 1);
    CHECK_THAT(to_text(listing.problems), Catch::Contains("my_web.toml: 'my_web' is not a container name"));
    folder.write("etc/web.toml.d/10.toml", "user = \"5\"\n");
    folder.write("etc/web.toml.d/10.conf.toml~", "garbage");
    const auto loaded = load("web", dirs_below(folder));
    REQUIRE_FALSE(loaded.has_value());
    CHECK_THAT(to_text(loaded.error()), Catch::Contains("10.toml: the name of a drop-in must end in '.conf.toml'"));
}

TEST_CASE("a container that nobody declared, a FIFO and a huge file are errors that end", "[config]") {
    const TemporaryFolder folder;
    folder.write("etc/x", "");
    CHECK_THAT(to_text(load("web", dirs_below(folder)).error()), Catch::Contains("no container 'web' is declared"));
    REQUIRE(::mkfifo((folder / "etc/fifo.toml").c_str(), 0600) == 0);
    CHECK_THAT(to_text(load("fifo", dirs_below(folder)).error()), Catch::Contains("is not a regular file"));
    folder.write("etc/huge.toml", std::string(2U << 20, '#'));
    CHECK_FALSE(load("huge", dirs_below(folder)).has_value());
}

TEST_CASE("check_file takes the container's name from the file's", "[config]") {
    const TemporaryFolder folder;
    folder.write("shop.toml", declaration());
    CHECK(check_file(folder / "shop.toml")->spec.name == "shop");
    folder.write("shop.txt", declaration());
    CHECK_FALSE(check_file(folder / "shop.txt").has_value());
    const auto missing = check_file(folder / "none.toml");
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error().size() == 1); // and not what such a file would have to say besides
}
