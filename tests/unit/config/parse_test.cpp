#include "helpers.hpp"

using namespace ctrd;
using namespace ctrd::config;

TEST_CASE("an unknown key is reported with file, line, column and the nearest known key", "[config]") {
    CHECK(problems_of("comand = [\"/bin/true\"]\nrootfs = \"/srv/web\"\ncommand = [\"/x\"]\n") ==
          "web.toml:1:1: unknown key 'comand'\n  hint: did you mean 'command'?");
    CHECK(problems_of(declaration("\n[[socket]]\nlisten = \"80\"\n  prot = 80\n")) ==
          "web.toml:6:3: unknown key 'prot' in [socket]\n  hint: did you mean 'port'?");
    CHECK(problems_of(declaration("[resources]\nmemory-mex = \"1G\"\n")) ==
          "web.toml:4:1: unknown key 'memory-mex' in [resources]\n  hint: did you mean 'memory-max'?");
}

TEST_CASE("all mistakes are reported, not only the first", "[config]") {
    const auto spec =
        parse_one("rootfs = \"srv\"\nuser = \"+0\"\ncommand = \"/bin/true\"\nfoo = 1\nstart = \"connection\"\n");
    REQUIRE_FALSE(spec.has_value());
    CHECK(spec.error().size() == 5);
    const auto text = to_text(spec.error());
    for (const auto* part :
         {"web.toml:1:10: 'rootfs': 'srv' is not an absolute path",
          "web.toml:2:8: 'user': ", "web.toml:3:11: 'command' must be an array of strings, not a string",
          "web.toml:4:1: unknown key 'foo'", "web.toml:5:9: 'start' = \"connection\" needs a [[socket]]"})
        CHECK_THAT(text, Catch::Contains(part));
}

TEST_CASE("text that is no TOML is reported with its place", "[config]") {
    CHECK_THAT(problems_of("rootfs = \"/srv\"\ncommand = [\n"), Catch::StartsWith("web.toml:2:13: not valid TOML: "));
    CHECK_THAT(problems_of("a = 1\na = 2\n"), Catch::StartsWith("web.toml:2:"));
    CHECK_THAT(problems_of("a = \"\xff\"\n"), Catch::Contains("not valid TOML"));
    CHECK_THAT(problems_of("a = " + std::string(100000, '[')), Catch::Contains("not valid TOML"));
    for (const auto* text : {"[{a]", "[=]", "[[!]]", "[", "[[", "[a.", "a.", "=", "[\"", "a = {"})
        CHECK_THAT(problems_of(text), Catch::StartsWith("web.toml:1:"));
}

TEST_CASE("exactly one of image, rootfs and bundle is wanted", "[config]") {
    CHECK_THAT(problems_of(""), Catch::Contains("neither 'image' nor 'rootfs' nor 'bundle' is given"));
    CHECK_THAT(problems_of("rootfs = \"/a\"\nbundle = \"/b\"\ncommand = [\"/x\"]\n"),
               Catch::Contains("web.toml:2:10: 'rootfs' and 'bundle' are both given"));
    CHECK_THAT(problems_of("rootfs = \"/a\"\n"), Catch::Contains("'command' is missing"));
    CHECK(problems_of("bundle = \"/b\"\n").empty());
    CHECK(problems_of("image = \"debian:12\"\n").empty());
    CHECK_THAT(problems_of("rootfs = \"//\"\ncommand = [\"/x\"]\n"), Catch::Contains("host's own root"));
}

TEST_CASE("what is not in this version is refused by name", "[config]") {
    CHECK_THAT(problems_of(declaration("[[start-on]]\nbus-name = \"org.example.Web\"\n")),
               Catch::StartsWith("web.toml:4:") && Catch::Contains("not in this version of ctrd"));
}

TEST_CASE("a datagram socket is adopted or passed, and stands beside a stream socket of the same port", "[config]") {
    const auto with = [](const std::string& lines) {
        return problems_of(declaration("[[socket]]\nlisten = \"53\"\ntype = \"datagram\"\n" + lines));
    };
    CHECK(with("deliver = \"pass\"\n[[socket]]\nlisten = \"53\"\n") == "");
    CHECK(with("") == "");
    CHECK(with("[[socket]]\nlisten = \"53\"\n") == ""); // UDP and TCP of one port, both adopted
    CHECK_THAT(problems_of(declaration("[[socket]]\nlisten = \"/run/web.sock\"\ntype = \"datagram\"\n")),
               Catch::Contains("a datagram socket with a path can't be adopted"));
    CHECK_THAT(with("deliver = \"pass\"\nbacklog = 5\n"), Catch::Contains("no queue of connections"));
    CHECK_THAT(with("deliver = \"pass\"\n[[socket]]\nlisten = \"53\"\ntype = \"datagram\"\ndeliver = \"pass\"\n"),
               Catch::Contains("can't be listened on side by side"));
    CHECK(problems_of(declaration("idle-timeout = \"1min\"\n[[socket]]\nlisten = \"53\"\ntype = \"datagram\"\n")) ==
          "");
}

TEST_CASE("what a container does while nobody connects is about the whole container", "[config][standby]") {
    for (const auto* line : {"standby = \"created\"", "idle-timeout = \"5min\""}) {
        INFO(line);
        CHECK_THAT(problems_of(declaration("[[socket]]\nlisten = \"80\"\n" + std::string{line} + "\n")),
                   Catch::StartsWith("web.toml:5:") && Catch::Contains("write it above the first [[socket]]"));
    }
}

TEST_CASE("a standby that could not work is refused", "[config][standby]") {
    const auto with_socket = [](const std::string& lines) {
        return problems_of(declaration(lines + "[[socket]]\nlisten = \"80\"\n"));
    };
    CHECK(with_socket("standby = \"frozen\"\nidle-timeout = \"1min\"\nidle-cpu = \"0.5%\"\nreclaim-memory = true\n"
                      "max-lifetime = \"1day\"\n") == "");
    CHECK(with_socket("standby = \"created\"\nidle-timeout = \"1min\"\nidle-stop = \"graceful\"\n") == "");
    CHECK_THAT(problems_of(declaration("standby = \"created\"\n")), Catch::Contains("'standby' needs a [[socket]]"));
    CHECK_THAT(problems_of(declaration("idle-timeout = \"1min\"\n")),
               Catch::Contains("'idle-timeout' needs a [[socket]]"));
    CHECK_THAT(
        problems_of(declaration(
            "idle-timeout = \"1min\"\n[[socket]]\nlisten = \"/run/x\"\ntype = \"datagram\"\ndeliver = \"pass\"\n")),
        Catch::Contains("can't tell whether '/run/x' is in use"));
    CHECK_THAT(with_socket("idle-timeout = \"10ms\"\n"), Catch::Contains("at least 100 ms"));
    CHECK_THAT(with_socket("idle-cpu = \"5%\"\n"), Catch::Contains("nothing without 'idle-timeout'"));
    CHECK_THAT(with_socket("idle-timeout = \"1s\"\nidle-cpu = \"0%\"\n"),
               Catch::Contains("not a share of a processor"));
    CHECK_THAT(with_socket("idle-stop = \"graceful\"\n"), Catch::Contains("nothing without 'idle-timeout'"));
    CHECK_THAT(with_socket("standby = \"frozen\"\nidle-timeout = \"1s\"\nidle-stop = \"graceful\"\n"),
               Catch::Contains("means nothing with standby = \"frozen\""));
    CHECK_THAT(with_socket("reclaim-memory = true\n"), Catch::Contains("is for standby = \"frozen\""));
    CHECK_THAT(with_socket("max-lifetime = 0\n"), Catch::Contains("at least a second"));
    CHECK_THAT(with_socket("standby = \"frosen\"\n"), Catch::Contains("did you mean \"frozen\"?"));
}

TEST_CASE("a value of the wrong type is reported where it stands", "[config]") {
    for (const auto* line :
         {"read-only = \"yes\"", "user = true", "capabilities = \"ALL\"", "hostname = 5", "environment = 5",
          "resources = []", "socket = 5", "mount = {}", "command = [1]", "stop-timeout = 1.5", "start = 1979-05-27"}) {
        INFO(line);
        CHECK_THAT(problems_of("rootfs = \"/srv/web\"\n" + std::string{line} + "\n"), Catch::Contains("web.toml:2:"));
    }
}

TEST_CASE("a word that is none of the choices is answered with the nearest one", "[config]") {
    CHECK_THAT(problems_of(declaration("network = \"hots\"\n")), Catch::Contains("did you mean \"host\"?"));
    CHECK_THAT(problems_of(declaration("restart = \"on-failur\"\n")), Catch::Contains("did you mean \"on-failure\"?"));
    CHECK_THAT(problems_of(declaration("start = \"xyzzy\"\n")),
               Catch::Contains("it is one of \"boot\", \"connection\", \"manual\""));
    CHECK_THAT(problems_of(declaration("capabilities = [\"NET_ADMNI\"]\n")),
               Catch::Contains("did you mean \"CAP_NET_ADMIN\"?"));
    CHECK_THAT(problems_of(declaration("stop-signal = \"SIGTREM\"\n")), Catch::Contains("'SIGTREM' is not a signal"));
}

TEST_CASE("nothing in the environment can make a second variable or line", "[config]") {
    CHECK_THAT(problems_of(declaration("[environment]\nHOME = \"/x\\nroot2::0:0\"\n")),
               Catch::Contains("web.toml:4:8: the value of 'HOME'"));
    CHECK_THAT(problems_of(declaration("[environment]\n\"A=B\" = \"c\"\n")), Catch::Contains("'A=B' is not a name"));
    CHECK_THAT(problems_of(declaration("[environment]\n\"\" = \"c\"\n")), Catch::Contains("is not a name"));
    CHECK_THAT(problems_of(declaration("[environment]\nA = \"x\\u0000y\"\n")), Catch::Contains("NUL"));
    CHECK(problems_of(declaration("[environment]\nA = \"tab\\there, spaces and = too\"\n")).empty());
}

TEST_CASE("a mount goes to a place of the container's own", "[config]") {
    const auto with_target = [](const std::string& target) {
        return problems_of(declaration("[[mount]]\nsource = \"/srv/x\"\ntarget = \"" + target + "\"\n"));
    };
    CHECK(with_target("/data").empty());
    for (const auto* bad :
         {"/", "//", "/proc", "/proc/sys", "/sys/fs/cgroup", "/dev/pts/0", "data", "/a/../proc", ""}) {
        INFO(bad);
        CHECK_FALSE(with_target(bad).empty());
    }
    CHECK_THAT(problems_of(declaration("[[mount]]\ntarget = \"/x\"\n")),
               Catch::Contains("a bind mount needs 'source'"));
    CHECK_THAT(problems_of(declaration("[[mount]]\ntype = \"tmpfs\"\nsource = \"/y\"\ntarget = \"/x\"\n")),
               Catch::Contains("a tmpfs has no 'source'"));
    CHECK_THAT(problems_of(declaration("[[mount]]\nsource = \"/y\"\ntarget = \"/x\"\noptions = [\"rshared\"]\n")),
               Catch::Contains("'rshared' is not an option"));
    CHECK_THAT(problems_of(declaration("[[mount]]\ntype = \"tmpfs\"\ntarget = \"/x\"\noptions = [\"size=1m,suid\"]\n")),
               Catch::Contains("is not an option"));
}

TEST_CASE("sockets that would be in each other's way are refused", "[config]") {
    const auto two = [](const std::string& a, const std::string& b) {
        return problems_of(declaration("[[socket]]\n" + a + "\n[[socket]]\n" + b + "\n"));
    };
    CHECK_THAT(two("listen = \"80\"", "listen = \"80\""), Catch::Contains("side by side"));
    CHECK_THAT(two("listen = \"80\"", "listen = \"127.0.0.1:80\""), Catch::Contains("side by side"));
    CHECK_THAT(two("listen = \"8080\"\nport = 80", "listen = \"8443\"\nport = 80"),
               Catch::Contains("would both take the place of port 80"));
    CHECK_THAT(two("listen = \"80\"\nname = \"a\"", "listen = \"81\"\nname = \"a\""),
               Catch::Contains("two sockets are named 'a'"));
    CHECK_THAT(two("listen = \"80\"\nbacklog = 5", "listen = \"81\"\nbacklog = 6"),
               Catch::Contains("share their 'backlog'"));
    CHECK(two("listen = \"0.0.0.0:80\"", "listen = \"[::]:80\"").empty());
    CHECK(two("listen = \"127.0.0.1:80\"\nport = 81", "listen = \"127.0.0.2:80\"\nport = 82").empty());
    CHECK(two("listen = \"80\"", "listen = \"443\"").empty());
}

TEST_CASE("a path is adopted where the program binds it, if the kernel's filter can tell it", "[config]") {
    const auto with = [](const std::string& lines) { return problems_of(declaration("[[socket]]\n" + lines)); };
    CHECK(with("listen = \"/run/web.sock\"\n") == "");
    CHECK(spec_of(declaration("[[socket]]\nlisten = \"/run/web.sock\"\n")).sockets[0].path == "/run/web.sock");
    CHECK(with("listen = \"/run/web.sock\"\npath = \"/run/redis/redis.sock\"\n") == "");
    CHECK_THAT(with("listen = \"/run/web.sock\"\npath = \"/a.sock\"\n"),
               Catch::StartsWith("web.toml:5:") && Catch::Contains("it must have 11 to 107 characters"));
    CHECK_THAT(with("listen = \"/run/x\"\n"), Catch::Contains("'/run/x' can't be adopted"));
    CHECK_THAT(with("listen = \"/run/web.sock\"\npath = \"web/x.sock.here\"\n"),
               Catch::Contains("not an absolute path"));
    CHECK_THAT(with("listen = \"80\"\npath = \"/run/web.sock\"\n"), Catch::Contains("listens on a port"));
    CHECK_THAT(with("listen = \"/run/web.sock\"\npath = \"/run/redis.sock\"\ndeliver = \"pass\"\n"),
               Catch::Contains("a socket that is passed"));
    CHECK_THAT(with("listen = \"/run/a.sock\"\npath = \"/run/x.sock\"\n[[socket]]\nlisten = \"/run/b.sock\"\npath = "
                    "\"/run//x.sock\"\n"),
               Catch::Contains("would both take the place of"));
    CHECK(problems_of(declaration("[[socket]]\nlisten = \"/run/x.sock\"\ndeliver = \"pass\"\n")).empty());
    CHECK_THAT(problems_of(declaration("[[socket]]\nport = 80\n")), Catch::Contains("a [[socket]] needs 'listen'"));
}

TEST_CASE("the payload's port is the one listened on unless another is named", "[config]") {
    const auto spec = spec_of(declaration("[[socket]]\nport = 80\nlisten = 8080\n[[socket]]\nlisten = \"[::1]:90\"\n"));
    CHECK(spec.sockets[0].port == 80);
    CHECK(spec.sockets[0].listen == "8080");
    CHECK(spec.sockets[1].port == 90);
    CHECK(spec.sockets[0].name == "port-8080");
}

TEST_CASE("a socket is proxied, or adopted and perhaps proxied, where it is so declared", "[config]") {
    const auto with = [](const std::string& lines) { return problems_of(declaration(lines)); };
    CHECK(with("[[socket]]\nlisten = \"80\"\ndeliver = \"proxy\"\n") == "");
    CHECK(with("[[socket]]\nlisten = \"53\"\ntype = \"datagram\"\ndeliver = \"auto\"\n") == "");
    CHECK(with("[[socket]]\nlisten = \"/run/web.sock\"\npath = \"/x\"\ndeliver = \"proxy\"\n") == "");
    CHECK(with("[[socket]]\nlisten = \"8080\"\nport = 80\n[[socket]]\nlisten = \"8081\"\nport = 80\ndeliver = "
               "\"proxy\"\n") == "");
    CHECK_THAT(with("[[socket]]\nlisten = \"80\"\ndeliver = \"prox\"\n"), Catch::Contains("did you mean \"proxy\"?"));
    CHECK_THAT(with("network = \"host\"\n[[socket]]\nlisten = \"80\"\ndeliver = \"proxy\"\n"),
               Catch::StartsWith("web.toml:6:") && Catch::Contains("port 80 of the host"));
    CHECK(with("network = \"host\"\n[[socket]]\nlisten = \"80\"\nport = 81\ndeliver = \"proxy\"\n") == "");
    CHECK(oci_of(declaration("[[socket]]\nlisten = \"80\"\ndeliver = \"auto\"\n"))["ctrd"]["sockets"][0]["deliver"] ==
          "auto");
}

TEST_CASE("a range of ports is one socket for each", "[config]") {
    const auto with = [](const std::string& lines) { return problems_of(declaration("[[socket]]\n" + lines)); };
    const auto spec = spec_of(declaration("[[socket]]\nlisten = \"80\"\n[[socket]]\nlisten = \"127.0.0.1:9000-9002\"\n"
                                          "port = 4000\nname = \"data\"\n"));
    REQUIRE(spec.sockets.size() == 4);
    CHECK_FALSE(spec.sockets[0].of_range);
    CHECK(spec.sockets[3].of_range);
    CHECK(spec.sockets[3].listen == "127.0.0.1:9002");
    CHECK(spec.sockets[3].port == 4002);
    CHECK(spec.sockets[3].name == "data-9002");
    CHECK(with("listen = \"[::1]:9000-9010\"\n") == "");
    CHECK(with("listen = \"9000-9010\"\n") == "");
    CHECK_THAT(with("listen = \"9010-9000\"\n"), Catch::Contains("'9010-9000' is not a range of ports"));
    CHECK_THAT(with("listen = \"9000-9256\"\n"), Catch::Contains("more than 256 ports"));
    CHECK_THAT(with("listen = \"9000-9010\"\nport = 65530\n"),
               Catch::StartsWith("web.toml:5:") && Catch::Contains("the first of 11 ports"));
    CHECK_THAT(with("listen = \"9000-9010\"\n[[socket]]\nlisten = \"9005\"\n"), Catch::Contains("side by side"));
}

TEST_CASE("timeouts that mean something else to systemd are refused", "[config]") {
    CHECK_THAT(problems_of(declaration("stop-timeout = 0\n")), Catch::Contains("'stop-timeout' is zero"));
    CHECK_THAT(problems_of(declaration("ready-timeout = \"infinity\"\n")), Catch::Contains("'ready-timeout'"));
    CHECK(spec_of(declaration("stop-timeout = \"infinity\"\n")).stop_timeout_us == UnitSpec::infinity);
}

TEST_CASE("a name that is no container's is refused", "[config]") {
    for (const auto* bad : {"", "../x", "a_b", "-a", "a..b", "a/b"}) {
        INFO(bad);
        CHECK_FALSE(parse(bad, {{"x.toml", declaration()}}).has_value());
    }
}
