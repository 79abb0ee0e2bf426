#include "helpers.hpp"

#include <sys/stat.h>

#include <filesystem>

using namespace ctrd;
using namespace ctrd::config;

namespace {

/// Declarations in etc/, a rootfs, and the folders that the generator fills.
struct Machine {
    Machine() {
        folder.write("rootfs/etc/passwd", "me:x:5:6::/home/me:/bin/sh\n");
        declare("web");
    }
    void declare(const std::string& name, const std::string& more = {}) const {
        folder.write("etc/" + name + ".toml", "rootfs = \"" + (folder / "rootfs") + "\"\ncommand = [\"/x\"]\n" + more);
    }
    [[nodiscard]] std::string generate_again() const {
        std::filesystem::remove_all(folder / "units"); // systemd does so before each run
        std::filesystem::create_directories(folder / "units");
        return to_text(generate({{folder / "etc"}}, out));
    }
    [[nodiscard]] std::string unit(const std::string& path) const { return content(out.units + "/" + path); }
    [[nodiscard]] bool compiled(const std::string& name) const {
        return std::filesystem::exists(out.compiled + "/" + name + "/config.json");
    }

    TemporaryFolder folder;
    OutputDirs out{folder / "units", folder / "run/compiled"};
};

unsigned mode_of(const std::string& path) {
    struct stat st {};
    REQUIRE(::stat(path.c_str(), &st) == 0);
    return st.st_mode & 07777U;
}

constexpr const char* service = "ctr@web.service.d/10-ctrd.conf";
constexpr const char* socket_conf = "ctr@web.socket.d/10-ctrd.conf";

} // namespace

TEST_CASE("the generator writes units, links and a config that only root can read", "[config]") {
    const Machine machine;
    machine.declare("web", "user = \"me\"\n[[socket]]\nlisten = \"80\"\n");
    CHECK(machine.generate_again().empty());
    CHECK_THAT(machine.unit(service), Catch::Contains("Requires=ctr@web.socket") && !Catch::Contains("ExecStartPre"));
    CHECK_THAT(machine.unit(socket_conf), Catch::Contains("ListenStream=80"));
    CHECK(std::filesystem::read_symlink(machine.out.units + "/sockets.target.wants/ctr@web.socket") ==
          "/usr/lib/systemd/system/ctr@.socket");
    CHECK(mode_of(machine.out.compiled) == 0700);
    CHECK(mode_of(machine.out.compiled + "/web") == 0700);
    CHECK(mode_of(machine.out.compiled + "/web/config.json") == 0600);
    CHECK(nlohmann::json::parse(content(machine.out.compiled + "/web/config.json"))["process"]["user"]["uid"] == 5);
}

TEST_CASE("a broken file does not stop the others", "[config]") {
    const Machine machine;
    machine.folder.write("etc/broken.toml", "rootfs = [\n");
    machine.folder.write("etc/zzz.toml", "rootfs = \"/nonexistent\"\ncommand = [\"/x\"]\nnonsense = 1\n");
    const auto text = machine.generate_again();
    CHECK_THAT(text, Catch::Contains("broken.toml:1:12: not valid TOML") &&
                         Catch::Contains("zzz.toml:3:1: unknown key 'nonsense'"));
    CHECK(machine.compiled("web"));
    CHECK_FALSE(machine.compiled("broken"));
    CHECK(machine.unit("ctr@zzz.service.d/10-ctrd.conf").empty());
}

TEST_CASE("a file that breaks later leaves the container's units and config as they were", "[config]") {
    const Machine machine;
    machine.declare("web", "[[socket]]\nlisten = \"80\"\n");
    CHECK(machine.generate_again().empty());
    const auto before = machine.unit(socket_conf);
    const auto config = content(machine.out.compiled + "/web/config.json");
    machine.declare("web", "[[socket]]\nlisten = \"81\"\nfoo = 1\n");
    CHECK_THAT(machine.generate_again(), Catch::Contains("unknown key 'foo'"));
    CHECK(machine.unit(socket_conf) == before);
    CHECK(std::filesystem::is_symlink(machine.out.units + "/sockets.target.wants/ctr@web.socket"));
    CHECK(content(machine.out.compiled + "/web/config.json") == config);
}

TEST_CASE("what is no longer declared is forgotten", "[config]") {
    const Machine machine;
    machine.declare("old");
    CHECK(machine.generate_again().empty());
    CHECK(list_compiled(machine.out) == std::vector<std::string>{"old", "web"});
    std::filesystem::remove(machine.folder / "etc/old.toml");
    CHECK(machine.generate_again().empty());
    CHECK(list_compiled(machine.out) == std::vector<std::string>{"web"});
    machine.folder.write("etc/web.toml", "");
    CHECK(machine.generate_again().empty());
    CHECK(list_compiled(machine.out).empty());
    CHECK(machine.unit(service).empty());
}

TEST_CASE("a rootfs that is not mounted yet is compiled when the unit starts", "[config]") {
    const Machine machine;
    machine.declare("web", "user = \"me\"\n");
    std::filesystem::rename(machine.folder / "rootfs", machine.folder / "later");
    std::filesystem::create_directories(machine.folder / "rootfs"); // an empty mount point
    CHECK(machine.generate_again().empty());
    CHECK_FALSE(machine.compiled("web"));
    CHECK_THAT(machine.unit(service),
               Catch::Contains("ExecStartPre=/usr/lib/systemd/system-generators/ctrd-generator --compile web\n"));
    CHECK_FALSE(compile_deferred("web", {{machine.folder / "etc"}}, machine.out).has_value());
    std::filesystem::remove(machine.folder / "rootfs");
    std::filesystem::rename(machine.folder / "later", machine.folder / "rootfs");
    CHECK(compile_deferred("web", {{machine.folder / "etc"}}, machine.out).has_value());
    CHECK(machine.compiled("web"));
    CHECK(machine.generate_again().empty());
    CHECK_THAT(machine.unit(service), !Catch::Contains("ExecStartPre"));
}

TEST_CASE("a deferred bundle with limits of its own is refused, since its unit does not have them", "[config]") {
    const Machine machine;
    machine.folder.write("etc/web.toml", "bundle = \"" + (machine.folder / "bundle") + "\"\n");
    CHECK(machine.generate_again().empty());
    machine.folder.write("bundle/rootfs/x", "");
    const auto config = [](const std::string& resources) {
        return R"({"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "process": {"cwd": "/", "args": ["/x"], "user": {"uid": 0, "gid": 0}}, "linux": {"resources": )" +
               resources + "}}";
    };
    machine.folder.write("bundle/config.json", config(R"({"pids": {"limit": 5}})"));
    const auto refused = compile_deferred("web", {{machine.folder / "etc"}}, machine.out);
    REQUIRE_FALSE(refused.has_value());
    CHECK_THAT(to_text(refused.error()), Catch::Contains("the bundle sets limits"));
    machine.folder.write("bundle/config.json", config("{}"));
    CHECK(compile_deferred("web", {{machine.folder / "etc"}}, machine.out).has_value());
}

TEST_CASE("compare tells what an apply would change", "[config]") {
    const Machine machine;
    const auto changes = [&](const std::string& more) {
        machine.declare("web", more);
        const auto loaded = load("web", {{machine.folder / "etc"}});
        REQUIRE(loaded.has_value());
        const auto compiled = compile(loaded->spec);
        REQUIRE(compiled.has_value());
        return compare(*compiled, machine.out);
    };
    CHECK(changes("").added);
    CHECK(machine.generate_again().empty());
    CHECK_FALSE(changes("").any());
    CHECK(changes("user = \"me\"\n").config);
    CHECK_FALSE(changes("user = \"me\"\n").service);
    CHECK(changes("stop-timeout = \"5s\"\n").service);
    CHECK_FALSE(changes("stop-timeout = \"5s\"\n").config);
    CHECK(changes("start = \"manual\"\n").service);
    CHECK(changes("[[socket]]\nlisten = \"80\"\n").socket);
    CHECK(machine.generate_again().empty());
    CHECK(changes("").socket);
}
