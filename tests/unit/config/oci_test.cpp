#include "config/bundle.hpp"
#include "helpers.hpp"

#include <sys/stat.h>

#include <algorithm>

using namespace ctrd;
using namespace ctrd::config;
using nlohmann::json;

namespace {

const Facts debian{.passwd = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\n",
                   .group = "ssl:x:110:www-data\n"};

bool has_namespace(const json& oci, const std::string& type) {
    const auto& list = oci["linux"]["namespaces"];
    return std::any_of(list.begin(), list.end(),
                       [&](const json& ns) { return ns["type"] == type && !ns.contains("path"); });
}

bool has_env(const json& oci, const std::string& variable) {
    const auto& env = oci["process"]["env"];
    return std::find(env.begin(), env.end(), json(variable)) != env.end();
}

json mount_at(const json& oci, const std::string& destination) {
    for (const auto& mount : oci["mounts"])
        if (mount["destination"] == destination)
            return mount;
    return {};
}

json bundle_oci(const std::string& config, const std::string& more = {}) {
    return oci_of("bundle = \"/srv/bundle\"\n" + more, {.bundle_config = config});
}

std::string bundle_problems(const std::string& config, const std::string& more = {}) {
    const auto compiled = compile(spec_of("bundle = \"/srv/bundle\"\n" + more), Facts{.bundle_config = config});
    return compiled ? std::string{} : to_text(compiled.error());
}

json small_bundle() {
    return {{"ociVersion", "1.0.2"},
            {"root", {{"path", "rootfs"}, {"readonly", true}}},
            {"hostname", "own"},
            {"process",
             {{"terminal", true},
              {"args", {"/bin/sh"}},
              {"cwd", "/"},
              {"env", {"PATH=/bin", "A=bundle"}},
              {"user", {{"uid", 5}, {"gid", 6}, {"additionalGids", {7}}}},
              {"noNewPrivileges", true}}},
            {"mounts", {{{"destination", "/proc"}, {"type", "proc"}, {"source", "proc"}}}},
            {"linux",
             {{"namespaces", {{{"type", "pid"}}, {{"type", "network"}, {"path", "/run/netns/x"}}}},
              {"cgroupsPath", "/x"},
              {"resources", {{"devices", {{{"allow", false}, {"access", "rwm"}}}}}}}}};
}

} // namespace

TEST_CASE("a declared rootfs gets every namespace, and a network of its own unless it shares the host's", "[config]") {
    const auto oci = oci_of(declaration());
    for (const auto* type : {"pid", "mount", "ipc", "uts", "cgroup", "network"})
        CHECK(has_namespace(oci, type));
    const auto host = oci_of(declaration("network = \"host\"\n"));
    CHECK_FALSE(has_namespace(host, "network"));
    CHECK(has_namespace(host, "pid"));
    CHECK(oci["root"] == json{{"path", "/srv/web"}, {"readonly", false}});
    CHECK(oci["hostname"] == "web");
    CHECK(oci["process"]["terminal"] == false);
    CHECK_FALSE(oci.contains("hooks"));
    CHECK_FALSE(oci["linux"].contains("resources"));
    CHECK_FALSE(oci["linux"].contains("cgroupsPath"));
}

TEST_CASE("the kernel's file systems come read-only where the payload must not write", "[config]") {
    const auto oci = oci_of(declaration());
    for (const auto* destination : {"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"})
        CHECK(mount_at(oci, destination).is_object());
    for (const auto* destination : {"/sys", "/sys/fs/cgroup"}) {
        const auto options = mount_at(oci, destination)["options"];
        CHECK(std::find(options.begin(), options.end(), json("ro")) != options.end());
    }
    CHECK(oci["linux"]["maskedPaths"].size() > 10);
    CHECK(oci["linux"]["readonlyPaths"].size() == 5);
}

TEST_CASE("only the common capabilities are held, none of them inheritable", "[config]") {
    const auto caps = oci_of(declaration())["process"]["capabilities"];
    CHECK(caps["bounding"].size() == 11);
    CHECK(caps["effective"] == caps["bounding"]);
    CHECK(caps["inheritable"].empty());
    CHECK(caps["ambient"].empty());
    CHECK(oci_of(declaration("capabilities = []\n"))["process"]["capabilities"]["bounding"].empty());
    CHECK(oci_of(declaration(
              "capabilities = [\"net_admin\", \"CAP_NET_ADMIN\"]\n"))["process"]["capabilities"]["bounding"] ==
          json{"CAP_NET_ADMIN"});
    CHECK(oci_of(declaration("capabilities = [\"ALL\"]\n"))["process"]["capabilities"]["bounding"].size() == 41);
}

TEST_CASE("the user's ids, groups and home come from the rootfs", "[config]") {
    const auto oci = oci_of(declaration("user = \"www-data\"\n"), debian);
    CHECK(oci["process"]["user"] == json{{"uid", 33}, {"gid", 33}, {"additionalGids", {110}}});
    CHECK(has_env(oci, "HOME=/var/www"));
    CHECK(has_env(oci_of(declaration(), debian), "HOME=/root"));
    CHECK(has_env(oci_of(declaration("user = \"www-data\"\n[environment]\nHOME = \"/mine\"\n"), debian), "HOME=/mine"));
    const auto unknown = compile(spec_of(declaration("user = \"nobody\"\n")), debian);
    REQUIRE_FALSE(unknown.has_value());
    CHECK(to_text(unknown.error()) == "web.toml:3:8: 'user': no user 'nobody' in '/etc/passwd' of the rootfs\n  hint: "
                                      "give the user as a number, or add it");
}

TEST_CASE("declared variables replace the defaults and are never doubled", "[config]") {
    const auto env = oci_of(declaration("[environment]\nPATH = \"/opt\"\nMODE = \"x=y\"\n"))["process"]["env"];
    CHECK(std::count_if(env.begin(), env.end(),
                        [](const json& one) { return one.get<std::string>().starts_with("PATH="); }) == 1);
    CHECK(std::find(env.begin(), env.end(), json("PATH=/opt")) != env.end());
    CHECK(std::find(env.begin(), env.end(), json("MODE=x=y")) != env.end());
}

TEST_CASE("a declared mount is private, without setuid programs and devices, and read-only all the way down",
          "[config]") {
    const auto oci =
        oci_of(declaration("[[mount]]\nsource = \"/srv//data/\"\ntarget = \"/data/\"\nread-only = true\n"
                           "[[mount]]\ntype = \"tmpfs\"\ntarget = \"/dev/shm\"\noptions = [\"size=1g\"]\n"));
    CHECK(mount_at(oci, "/data") == json{{"destination", "/data"},
                                         {"type", "bind"},
                                         {"source", "/srv/data"},
                                         {"options", {"rbind", "rprivate", "nosuid", "nodev", "rro"}}});
    CHECK(mount_at(oci, "/dev/shm")["options"] == json{"nosuid", "nodev", "size=1g"});
    CHECK(std::count_if(oci["mounts"].begin(), oci["mounts"].end(),
                        [](const json& m) { return m["destination"] == "/dev/shm"; }) == 1);
}

TEST_CASE("the key 'ctrd' tells ctr-run what it must know", "[config]") {
    const auto own = oci_of(declaration("stop-signal = \"QUIT\"\nready-timeout = \"1500ms\"\n[[socket]]\nname = "
                                        "\"http\"\nlisten = \"0.0.0.0:8080\"\nport = 80\n"))["ctrd"];
    CHECK(own ==
          json{{"name", "web"},
               {"source", "/srv/web"},
               {"stop_signal", "SIGQUIT"},
               {"machine_shell", true},
               {"ready_timeout_ms", 1500},
               {"sockets", {{{"name", "http"}, {"listen", "0.0.0.0:8080"}, {"deliver", "adopt"}, {"port", 80}}}}});
}

TEST_CASE("the key 'ctrd' says what waits while nobody connects, where that was declared", "[config][standby]") {
    const std::string socket = "[[socket]]\nlisten = \"80\"\n";
    CHECK(
        oci_of(declaration("standby = \"frozen\"\nidle-timeout = \"1min\"\nidle-cpu = \"2.5%\"\nreclaim-memory = true\n"
                           "max-lifetime = \"1h\"\n" +
                           socket))["ctrd"]["standby"] == json{{"mode", "frozen"},
                                                               {"always_there", true},
                                                               {"idle_timeout_ms", 60000},
                                                               {"graceful", false},
                                                               {"idle_cpu_permille", 25},
                                                               {"reclaim_memory", true},
                                                               {"max_lifetime_ms", 3600000}});
    CHECK(oci_of(declaration("idle-timeout = 5\nidle-stop = \"graceful\"\n" + socket))["ctrd"]["standby"] ==
          json{{"mode", "stopped"}, {"idle_timeout_ms", 5000}, {"graceful", true}});
    CHECK_FALSE(oci_of(declaration(socket))["ctrd"].contains("standby"));
}

TEST_CASE("a bundle's own config is the base, and what is declared goes over it", "[config]") {
    const auto oci = bundle_oci(small_bundle().dump());
    CHECK(oci["root"] == json{{"path", "/srv/bundle/rootfs"}, {"readonly", true}});
    CHECK(oci["hostname"] == "own");
    CHECK(oci["process"]["terminal"] == false);
    CHECK(oci["process"]["user"]["uid"] == 5);
    CHECK(oci["process"]["noNewPrivileges"] == true);
    CHECK_FALSE(oci["linux"].contains("cgroupsPath"));
    CHECK_FALSE(oci["linux"].contains("resources"));
    CHECK_FALSE(oci["linux"].contains("seccomp"));
    CHECK_FALSE(oci["process"].contains("capabilities"));
    for (const auto* type : {"pid", "mount", "ipc", "uts", "cgroup"})
        CHECK(has_namespace(oci, type));
    const auto over = bundle_oci(
        small_bundle().dump(),
        "command = [\"/bin/x\"]\nuser = \"9:9\"\nread-only = false\nnetwork = \"none\"\nno-new-privileges = false\n"
        "hostname = \"mine\"\nseccomp = \"default\"\n[environment]\nA = \"mine\"\n");
    CHECK(over["process"]["args"] == json{"/bin/x"});
    CHECK(over["process"]["user"] == json{{"uid", 9}, {"gid", 9}, {"additionalGids", json::array()}});
    CHECK(over["root"]["readonly"] == false);
    CHECK(over["process"]["noNewPrivileges"] == false);
    CHECK(over["hostname"] == "mine");
    CHECK(over["linux"].contains("seccomp"));
    CHECK(has_env(over, "A=mine"));
    CHECK_FALSE(has_env(over, "A=bundle"));
    CHECK(has_namespace(over, "network"));
}

TEST_CASE("a bundle without a network namespace keeps the host's", "[config]") {
    auto config = small_bundle();
    config["linux"]["namespaces"] = {{{"type", "pid"}}};
    CHECK_FALSE(has_namespace(bundle_oci(config.dump()), "network"));
}

TEST_CASE("a bundle's limits become properties of the unit unless others are declared", "[config]") {
    auto config = small_bundle();
    config["linux"]["resources"] = {{"memory", {{"limit", 1048576}, {"swap", 2097152}}},
                                    {"pids", {{"limit", 10}}},
                                    {"cpu", {{"quota", 50000}, {"period", 100000}}}};
    const auto compiled = compile(spec_of("bundle = \"/srv/bundle\"\n[resources]\ntasks-max = 20\n"),
                                  Facts{.bundle_config = config.dump()});
    REQUIRE(compiled.has_value());
    const auto service = file_of(*compiled, "ctr@web.service.d/10-ctrd.conf");
    for (const auto* line :
         {"\nMemoryMax=1048576\n", "\nMemorySwapMax=1048576\n", "\nTasksMax=20\n", "\nCPUQuota=50%\n"})
        CHECK_THAT(service, Catch::Contains(line));
}

TEST_CASE("what a bundle asks for and can't have is named, not dropped", "[config]") {
    auto hooks = small_bundle();
    for (const char* kind : {"prestart", "createRuntime", "createContainer", "poststart", "poststop"}) {
        hooks["hooks"] = {{kind, {{{"path", "/bin/sh"}}}}};
        CHECK_THAT(bundle_problems(hooks.dump()),
                   Catch::StartsWith("/srv/bundle/config.json: ") && Catch::Contains("hooks"));
    }
    hooks["hooks"] = {{"startContainer", {{{"path", "/bin/sh"}}}}};
    CHECK(bundle_problems(hooks.dump()).empty());
    auto cpus = small_bundle();
    cpus["linux"]["resources"]["cpu"]["cpus"] = "0-1";
    CHECK_THAT(bundle_problems(cpus.dump()), Catch::Contains("linux.resources.cpu.cpus has no property of a unit"));
    auto devices = small_bundle();
    devices["linux"]["resources"]["devices"] = {{{"allow", true}, {"type", "b"}, {"access", "rwm"}}};
    CHECK_THAT(bundle_problems(devices.dump()), Catch::Contains("linux.resources.devices"));
    CHECK_THAT(bundle_problems("{"), Catch::StartsWith("/srv/bundle/config.json: line 1"));
    CHECK_THAT(bundle_problems("[]"), Catch::Contains("config.json"));
    CHECK_THAT(bundle_problems(std::string(100000, '[')), Catch::Contains("nested"));
    auto nothing = small_bundle();
    nothing["process"].erase("args");
    CHECK_FALSE(bundle_problems(nothing.dump()).empty());
}

TEST_CASE("a bundle can't speak for the declaration", "[config]") {
    auto config = small_bundle();
    config["ctrd"] = {{"name", "other"}, {"sockets", json::array()}};
    CHECK(bundle_oci(config.dump())["ctrd"]["name"] == "web");
}

TEST_CASE("an ad-hoc container has a terminal if asked for and no key 'ctrd'", "[config]") {
    const TemporaryFolder folder;
    folder.write("etc/passwd", "me:x:5:6::/home/me:/bin/sh\n");
    UnitSpec spec;
    spec.name = "run-1";
    spec.rootfs = folder / "";
    spec.command = {"/bin/sh"};
    spec.user = "me";
    const auto made = ad_hoc(spec, true);
    INFO((made ? std::string{} : to_text(made.error())));
    REQUIRE(made.has_value());
    CHECK_FALSE(made->image.has_value());
    const auto oci = json::parse(made->config_json);
    CHECK(oci["process"]["terminal"] == true);
    CHECK(oci["process"]["user"]["uid"] == 5);
    CHECK(has_env(oci, "TERM=xterm"));
    CHECK_FALSE(oci.contains("ctrd"));
    spec.environment["X"] = "\xff";
    CHECK_FALSE(ad_hoc(spec, false).has_value());
    spec.environment.clear();
    spec.command.clear();
    CHECK_THAT(to_text(ad_hoc(spec, false).error()), Catch::Contains("'command' is missing"));
}

TEST_CASE("a rootfs whose passwd leads out of it or to a FIFO does not fool or block us", "[config]") {
    const TemporaryFolder folder;
    folder.write("secret", "me:x:0:0::/:/bin/sh\n");
    folder.write("root/etc/group", "");
    std::filesystem::create_symlink(folder / "secret", folder / "root/etc/passwd");
    auto spec = spec_of("rootfs = \"" + (folder / "root") + "\"\ncommand = [\"/x\"]\nuser = \"me\"\n");
    CHECK_FALSE(compile(spec).has_value());
    std::filesystem::remove(folder / "root/etc/passwd");
    REQUIRE(::mkfifo((folder / "root/etc/passwd").c_str(), 0600) == 0);
    const auto fifo = compile(spec);
    REQUIRE_FALSE(fifo.has_value());
    CHECK_THAT(to_text(fifo.error()), Catch::Contains("'/etc/passwd' in the container is not a regular file"));
}

TEST_CASE("a missing rootfs, bundle or mount source is an error at its key", "[config]") {
    CHECK_THAT(to_text(compile(spec_of("rootfs = \"/nonexistent/r\"\ncommand = [\"/x\"]\n")).error()),
               Catch::StartsWith("web.toml:1:10: cannot open '/nonexistent/r'"));
    CHECK_THAT(to_text(compile(spec_of("bundle = \"/nonexistent/b\"\n")).error()),
               Catch::StartsWith("web.toml:1:10: "));
    CHECK_THAT(
        to_text(
            compile(
                spec_of(
                    "rootfs = \"/usr\"\ncommand = [\"/x\"]\n[[mount]]\nsource = \"/nonexistent/m\"\ntarget = \"/m\"\n"))
                .error()),
        Catch::StartsWith("web.toml:4:10: '/nonexistent/m' does not exist"));
}

TEST_CASE("terminal = true is a terminal, and says what kind", "[config][terminal]") {
    CHECK(oci_of(declaration())["process"]["terminal"] == false);
    const auto with = oci_of(declaration("terminal = true\n"))["process"];
    CHECK(with["terminal"] == true);
    CHECK(std::ranges::find(with["env"], "TERM=xterm") != with["env"].end());
    CHECK_THAT(problems_of(declaration("terminal = true\n[[socket]]\nlisten = \"80\"\naccept = true\n")),
               Catch::Contains("'terminal' means nothing with 'accept'"));
}
