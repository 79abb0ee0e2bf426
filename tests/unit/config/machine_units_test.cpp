#include "config/machine_units.hpp"
#include "helpers.hpp"

#include <filesystem>

using namespace ctrd;
using namespace ctrd::config;

namespace {

namespace fs = std::filesystem;

struct Host {
    Host() { fs::create_directories(folder / "run/ctrd"); }
    [[nodiscard]] std::string generate(const std::vector<std::string>& names) const {
        fs::remove_all(folder / "units"); // systemd does so before each run
        return to_text(generate_machine_units(names, folder / "units", folder / ""));
    }
    [[nodiscard]] bool has_unit(const std::string& name) const {
        return fs::exists(folder / ("units/systemd-nspawn@" + name + ".service.d/10-ctrd.conf"));
    }
    [[nodiscard]] bool has_link(const std::string& name) const {
        return fs::is_symlink(folder / ("run/machines/" + name));
    }
    TemporaryFolder folder;
};

} // namespace

TEST_CASE("machinectl's unit for a container starts and stops with the container's own", "[config][machines]") {
    const auto text = machine_unit_text("web", false);
    CHECK_THAT(text,
               Catch::Contains("Requires=ctr@web.service\nAfter=ctr@web.service\nPropagatesStopTo=ctr@web.service\n"));
    CHECK_THAT(machine_unit_text("web", true),
               Catch::Contains("After=ctr@web.service\n") && !Catch::Contains("PropagatesStopTo="));
    CHECK_THAT(text, Catch::Contains("ExecStart=\nExecStart=/bin/true\n") && Catch::Contains("WatchdogSec=0\n"));
}

TEST_CASE("each container gets a link for machinectl, and who is gone loses it", "[config][machines]") {
    const Host host;
    CHECK(host.generate({"db", "web"}).empty());
    CHECK((host.has_unit("web") && host.has_link("web") && host.has_link("db")));
    CHECK(fs::read_symlink(host.folder / "run/machines/web") == "/run/ctrd/no-image");
    CHECK(host.generate({"db"}).empty());
    CHECK((!host.has_link("web") && host.has_link("db")));
    CHECK(host.generate({}).empty());
    CHECK_FALSE(host.has_link("db"));
}

TEST_CASE("what is an image of nspawn's is not touched, and its unit stays nspawn's", "[config][machines]") {
    const Host host;
    fs::create_directories(host.folder / "run/machines/real");
    fs::create_directories(host.folder / "var/lib/machines/other");
    host.folder.write("var/lib/machines/raw.raw", "");
    CHECK(host.generate({"other", "raw", "real", "web"}).empty());
    CHECK_FALSE((host.has_unit("real") || host.has_unit("other") || host.has_unit("raw")));
    CHECK((host.has_unit("web") && !host.has_link("other") && !host.has_link("raw")));
    CHECK(host.generate({}).empty());
    CHECK(fs::is_directory(host.folder / "run/machines/real"));
}
