#include "config/units.hpp"
#include "helpers.hpp"

using namespace ctrd;
using namespace ctrd::config;

namespace {

std::string service_of(const std::string& more) {
    return file_of(compile_text(declaration(more)), "ctr@web.service.d/10-ctrd.conf");
}
std::string socket_of(const std::string& more) {
    return file_of(compile_text(declaration(more)), "ctr@web.socket.d/10-ctrd.conf");
}

} // namespace

TEST_CASE("a container without sockets starts at boot, one with sockets on its first connection", "[config]") {
    const auto plain = compile_text(declaration());
    CHECK(plain.files.size() == 1);
    CHECK(has_link(plain, "multi-user.target.wants/ctr@web.service"));
    const auto socket = compile_text(declaration("[[socket]]\nlisten = \"80\"\n"));
    CHECK(socket.files.size() == 2);
    CHECK(has_link(socket, "sockets.target.wants/ctr@web.socket"));
    CHECK_FALSE(has_link(socket, "multi-user.target.wants/ctr@web.service"));
    const auto boot = compile_text(declaration("start = \"boot\"\n[[socket]]\nlisten = \"80\"\n"));
    CHECK(boot.links.size() == 2);
    CHECK(compile_text(declaration("start = \"manual\"\n[[socket]]\nlisten = \"80\"\n")).links.empty());
}

TEST_CASE("what stands by is there from boot on", "[config][standby]") {
    const auto frozen = compile_text(declaration("standby = \"frozen\"\n[[socket]]\nlisten = \"80\"\n"));
    CHECK(has_link(frozen, "multi-user.target.wants/ctr@web.service"));
    CHECK(has_link(frozen, "sockets.target.wants/ctr@web.socket"));
    const auto later =
        compile_text(declaration("standby = \"frozen\"\nstart = \"connection\"\n[[socket]]\nlisten = \"80\"\n"));
    CHECK_FALSE(has_link(later, "multi-user.target.wants/ctr@web.service"));
}

TEST_CASE("the service waits for its sockets and for the file systems that it needs", "[config]") {
    const auto text =
        service_of("[[socket]]\nlisten = \"80\"\n[[mount]]\nsource = \"/srv/a b\\\"c%\"\ntarget = \"/x\"\n");
    CHECK_THAT(text, Catch::Contains("\nRequires=ctr@web.socket\nAfter=ctr@web.socket\n"));
    CHECK_THAT(text, Catch::Contains("\nRequiresMountsFor=\"/srv/web\" \"/srv/a b\\\"c%%\"\n"));
    CHECK_THAT(text, Catch::Contains("\nSourcePath=web.toml\n"));
}

TEST_CASE("signals and timeouts become properties of the unit", "[config]") {
    const auto text = service_of("stop-signal = 3\nstop-timeout = \"1min 500ms\"\nready-timeout = \"20s\"\n");
    CHECK_THAT(text, Catch::Contains("\nKillSignal=SIGQUIT\nTimeoutStopSec=60500ms\nTimeoutStartSec=25s\n"));
    CHECK_THAT(service_of("stop-timeout = \"infinity\"\n"), Catch::Contains("\nTimeoutStopSec=infinity\n"));
}

TEST_CASE("who is asked to reboot as a machine starts again, who is powered off does not", "[config][machines]") {
    CHECK_THAT(service_of("init = true\nstop-signal = \"SIGQUIT\"\n"),
               Catch::Contains("\nRestartForceExitStatus=195\nRestartPreventExitStatus=194\n") &&
                   Catch::Contains("\nKillSignal=SIGTERM\n"));
    CHECK_THAT(service_of("systemd = true\n"), Catch::Contains("\nRestartForceExitStatus=SIGHUP\n") &&
                                                   Catch::Contains("\nKillSignal=SIGRTMIN+3\n") &&
                                                   Catch::Contains("\nTimeoutStopSec=90s\n"));
    CHECK_THAT(service_of("systemd = true\nstop-signal = 15\n"), Catch::Contains("\nKillSignal=SIGTERM\n"));
    CHECK_FALSE(parse("web", {{"web.toml", declaration("init = true\nsystemd = true\n")}}));
}

TEST_CASE("a kill counts for the restart policies that restart after one", "[config]") {
    CHECK_THAT(service_of(""), !Catch::Contains("Restart"));
    for (const auto* policy : {"on-failure", "on-abnormal", "on-abort"})
        CHECK_THAT(service_of("restart = \"" + std::string{policy} + "\"\n"),
                   Catch::Contains("\nRestart=" + std::string{policy} + "\nRestartForceExitStatus=SIGKILL\n"));
    CHECK_THAT(service_of("restart = \"on-success\"\n"), Catch::Contains("\nRestartPreventExitStatus=SIGKILL\n"));
    CHECK_THAT(service_of("restart = \"always\"\n"),
               Catch::Contains("\nRestart=always\n") && !Catch::Contains("SIGKILL"));
}

TEST_CASE("resources are written as they were declared", "[config]") {
    const auto text = service_of("[resources]\nmemory-max = \"512M\"\nmemory-high = \"80%\"\nmemory-swap-max = "
                                 "0\ncpu-weight = \"idle\"\ncpu-quota = \"150%\"\n"
                                 "tasks-max = 64\nio-weight = 50\n");
    CHECK_THAT(text, Catch::Contains("\nMemoryMax=512M\nMemoryHigh=80%\nMemorySwapMax=0\nCPUWeight=idle\nCPUQuota=150%"
                                     "\nTasksMax=64\nIOWeight=50\n"));
}

TEST_CASE("what systemd-oomd is asked for is written, and then the container ends as a whole", "[config]") {
    const auto text = service_of("[resources]\nmanaged-oom-swap = \"kill\"\nmanaged-oom-memory-pressure = \"kill\"\n"
                                 "managed-oom-memory-pressure-limit = \"2.5%\"\nmanaged-oom-preference = \"avoid\"\n");
    CHECK_THAT(text,
               Catch::Contains("\nManagedOOMSwap=kill\nManagedOOMMemoryPressure=kill\n"
                               "ManagedOOMMemoryPressureLimit=2.5%\nManagedOOMPreference=avoid\nOOMPolicy=kill\n"));
    CHECK_THAT(service_of("[resources]\nmanaged-oom-swap = \"auto\"\n"),
               Catch::Contains("\nManagedOOMSwap=auto\n") && !Catch::Contains("OOMPolicy"));
    for (const auto* bad : {"managed-oom-swap = \"yes\"", "managed-oom-memory-pressure = true",
                            "managed-oom-memory-pressure-limit = \"101%\"", "managed-oom-preference = \"kill\""}) {
        INFO(bad);
        CHECK_FALSE(problems_of(declaration("[resources]\n" + std::string{bad} + "\n")).empty());
    }
}

TEST_CASE("a container and its sockets are in the slice that is declared", "[config]") {
    CHECK_THAT(service_of(""), !Catch::Contains("Slice="));
    CHECK_THAT(service_of("slice = \"machine-shop.slice\"\n"), Catch::Contains("\nSlice=machine-shop.slice\n"));
    CHECK_THAT(socket_of("slice = \"machine-shop-db\"\n[[socket]]\nlisten = 80\n"),
               Catch::Contains("\nSlice=machine-shop-db.slice\n"));
    CHECK_THAT(problems_of(declaration("slice = \"shop\"\n")), Catch::Contains("write \"machine-shop.slice\""));
    for (const auto* bad : {"system.slice", "machine-.slice", "machine--x", "machine-%i", "machine-a/b",
                            "machine.service", "machinery", "machine-a\\nb", "-machine", ""}) {
        INFO(bad);
        CHECK_FALSE(problems_of(declaration("slice = \"" + std::string{bad} + "\"\n")).empty());
    }
}

TEST_CASE("no value of a declaration can add a line or a specifier to a unit", "[config]") {
    CHECK_THAT(service_of("description = \"100% %i\"\n"), Catch::Contains("\nDescription=100%% %%i\n"));
    CHECK_FALSE(problems_of(declaration("description = \"a\\nExecStartPre=/bin/x\"\n")).empty());
    CHECK_FALSE(problems_of(declaration("description = \"a\\\\\"\n")).empty());
    CHECK_FALSE(problems_of("rootfs = \"/srv\\n/x\"\ncommand = [\"/x\"]\n").empty());
    CHECK_FALSE(problems_of(declaration("[[mount]]\nsource = \"/a\\nb\"\ntarget = \"/x\"\n")).empty());
    CHECK(unit_word("a\"b\\c%d") == "\"a\\\"b\\\\c%%d\"");
}

TEST_CASE("the socket unit listens where it was declared, in that order", "[config]") {
    const auto text = socket_of("[[socket]]\nlisten = \"127.0.0.1:80\"\n[[socket]]\nlisten = \"/run/x "
                                "y.sock\"\ndeliver = \"pass\"\n[[socket]]\nlisten = \"10.0.0.1:81\"\nbacklog = 7\n");
    CHECK_THAT(text,
               Catch::Contains("\nListenStream=127.0.0.1:80\nListenStream=/run/x y.sock\nListenStream=10.0.0.1:81\n"));
    CHECK_THAT(text, Catch::Contains("\nFreeBind=yes\nRemoveOnStop=yes\nBacklog=7\n"));
    CHECK_THAT(text, !Catch::Contains("FileDescriptorName") && !Catch::Contains("BindIPv6Only"));
}

TEST_CASE("a datagram socket may have the port of a stream socket", "[config]") {
    const auto text =
        socket_of("[[socket]]\nlisten = \"0.0.0.0:53\"\n[[socket]]\nlisten = \"[::]:53\"\ntype = \"datagram\"\n"
                  "deliver = \"pass\"\n");
    CHECK_THAT(text, Catch::Contains("\nListenStream=0.0.0.0:53\nListenDatagram=[::]:53\nBindIPv6Only=both\n"));
}

TEST_CASE("a single socket has its name, and a bare port takes IPv4 and IPv6", "[config]") {
    const auto text = socket_of("[[socket]]\nname = \"http\"\nlisten = \"8080\"\nport = 80\n");
    CHECK_THAT(text, Catch::Contains("\nListenStream=8080\nFileDescriptorName=http\nBindIPv6Only=both\n") &&
                         !Catch::Contains("FreeBind"));
}

TEST_CASE("the same port on IPv4 and IPv6 addresses makes two sockets that do not meet", "[config]") {
    CHECK_THAT(socket_of("[[socket]]\nlisten = \"0.0.0.0:80\"\n[[socket]]\nlisten = \"[::]:80\"\n"),
               Catch::Contains("\nBindIPv6Only=ipv6-only\n"));
    CHECK_FALSE(
        problems_of(
            declaration(
                "[[socket]]\nlisten = \"0.0.0.0:80\"\n[[socket]]\nlisten = \"[::]:80\"\n[[socket]]\nlisten = \"90\"\n"))
            .empty());
}

TEST_CASE("credentials are systemd's own, and nothing in a path is more than a path", "[config][credentials]") {
    CHECK_THAT(service_of("[credentials]\npassword = \"/etc/secrets/100%\"\n"),
               Catch::Contains("\nLoadCredential=password:/etc/secrets/100%%\n"));
    for (const auto* wrong : {"\"a:b\" = \"/x\"", "\".x\" = \"/x\"", "\"\" = \"/x\"", "x = \"relative\"", "x = 1",
                              "x = \"/a\\nSetCredential=\"", "x = \"/a\\\\\""}) {
        INFO(wrong);
        CHECK_THAT(problems_of(declaration("[credentials]\n" + std::string{wrong} + "\n")),
                   Catch::Contains("web.toml:4:"));
    }
}

TEST_CASE("a systemd is ready when it says so, others where that is declared", "[config][notify]") {
    const std::string init = "rootfs = \"/srv/web\"\ncommand = [\"/sbin/init\"]\n";
    CHECK(oci_of(init)["ctrd"].value("notify", false));
    CHECK_FALSE(oci_of(init + "notify = false\n")["ctrd"].value("notify", false));
    CHECK_FALSE(oci_of(declaration())["ctrd"].value("notify", false));
    CHECK(oci_of(declaration("notify = true\n"))["ctrd"].value("notify", false));
    CHECK_THAT(file_of(compile_text(init), "ctr@web.service.d/10-ctrd.conf"), Catch::Contains("TimeoutStartSec=95s"));
}

TEST_CASE("what survives a soft-reboot is stopped with nothing but the machine", "[config][soft-reboot]") {
    const auto drop_in = [](const std::string& unit) { return unit + ".d/20-ctrd-soft-reboot.conf"; };
    const auto compiled = compile_text(
        declaration("survive-soft-reboot = true\nslice = \"machine-a-b.slice\"\n[[socket]]\nlisten = \"80\"\n"));
    const auto stays = [](const std::string& text) {
        return text.contains("\nDefaultDependencies=no\nIgnoreOnIsolate=yes\n") &&
               text.contains("\nConflicts=reboot.target ") && !text.contains("shutdown.target");
    };
    CHECK(stays(file_of(compiled, drop_in("ctr@web.service"))));
    CHECK_THAT(file_of(compiled, drop_in("ctr@web.service")), Catch::Contains("\nSurviveFinalKillSignal=yes\n"));
    CHECK(stays(file_of(compiled, drop_in("ctr@web.socket"))));
    for (const auto* slice : {"machine-a-b.slice", "machine-a.slice", "machine.slice"})
        CHECK_THAT(file_of(compiled, drop_in(slice)), Catch::Contains("[Unit]\nDefaultDependencies=no\n"));
    CHECK(has_link(compiled, "multi-user.target.wants/ctrd.service"));
    CHECK_THAT(file_of(compiled, "ctr@web.service.d/10-ctrd.conf"), !Catch::Contains("RequiresMountsFor="));

    const auto each =
        compile_text(declaration("survive-soft-reboot = true\n[[socket]]\nlisten = \"80\"\naccept = true\n"));
    CHECK(stays(file_of(each, drop_in("ctr-web@.service"))));
    CHECK(stays(file_of(each, drop_in("ctr-web.socket"))));

    CHECK(file_of(compile_text(declaration()), drop_in("ctr@web.service")).empty());
    CHECK_THAT(problems_of(declaration("survive-soft-reboot = true\nsystemd = true\n")),
               Catch::Contains("in which a systemd runs"));
}
