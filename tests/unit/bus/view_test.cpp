#include "ctrd/bus/view.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using namespace ctrd;
using namespace ctrd::bus;

namespace {

systemd::UnitFacts unit(const char* active) {
    systemd::UnitFacts facts;
    facts.active = active;
    facts.main_pid = 42;
    facts.active_enter = 1;
    facts.active_exit = 2;
    facts.inactive_enter = 3;
    facts.inactive_exit = 4;
    return facts;
}

} // namespace

TEST_CASE("systemd's active states become the five states of a container", "[bus]") {
    CHECK(std::string{state_of(unit("active"))} == "running");
    CHECK(std::string{state_of(unit("reloading"))} == "running");
    CHECK(std::string{state_of(unit("activating"))} == "starting");
    CHECK(std::string{state_of(unit("deactivating"))} == "stopping");
    CHECK(std::string{state_of(unit("failed"))} == "failed");
    CHECK(std::string{state_of(unit("inactive"))} == "stopped");
    CHECK(std::string{state_of({})} == "stopped");
}

TEST_CASE("the main process of a unit that starts is not the container's leader", "[bus]") {
    CHECK(leader_of(unit("activating")) == 0);
    CHECK(leader_of(unit("active")) == 42);
    CHECK(leader_of(unit("deactivating")) == 42);
    CHECK(leader_of(unit("failed")) == 0);
}

TEST_CASE("since is the time at which the state began", "[bus]") {
    CHECK(since_of(unit("active")) == 1);
    CHECK(since_of(unit("deactivating")) == 2);
    CHECK(since_of(unit("failed")) == 3);
    CHECK(since_of(unit("inactive")) == 3);
    CHECK(since_of(unit("activating")) == 4);
}

TEST_CASE("what is no longer declared is listed until it is at rest", "[bus]") {
    CHECK(is_listed({"web", Declaration{}, unit("inactive")}));
    CHECK(is_listed({"web", std::nullopt, unit("active")}));
    CHECK(is_listed({"web", std::nullopt, unit("deactivating")}));
    CHECK_FALSE(is_listed({"web", std::nullopt, unit("inactive")}));
    CHECK_FALSE(is_listed({"web", std::nullopt, unit("failed")}));
}

TEST_CASE("of a compiled config only source, root and sockets are read", "[bus]") {
    const auto declared = parse_declaration(R"({
        "process": {"env": ["SECRET=1"], "args": ["x"]}, "root": {"path": "/srv/web/rootfs"},
        "ctrd": {"name": "web", "source": "/srv/web", "stop_signal": "SIGTERM", "ready_timeout_ms": 1,
                 "sockets": [{"name": "http", "listen": "0.0.0.0:8080", "deliver": "adopt", "port": 80},
                             {"name": "ctl", "listen": "/run/x", "deliver": "pass"}]}})");
    REQUIRE(declared);
    CHECK(declared->source == "/srv/web");
    CHECK(declared->root == "/srv/web/rootfs");
    REQUIRE(declared->sockets.size() == 2);
    CHECK(declared->sockets[0] == DeclaredSocket{"0.0.0.0:8080", "adopt", "http", 80});
    CHECK(declared->sockets[1] == DeclaredSocket{"/run/x", "pass", "ctl", 0});
}

TEST_CASE("of an image its name and digest are known, and no layers", "[bus]") {
    const auto declared = parse_declaration(R"({"ctrd": {"source": "web:1", "sockets": [],
        "image": {"name": "web:1", "digest": "sha256:12", "layers": ["sha256-34"]}}})");
    REQUIRE(declared);
    CHECK(declared->image == "web:1");
    CHECK(declared->image_digest == "sha256:12");
    CHECK_FALSE(parse_declaration(R"({"ctrd": {"sockets": [], "image": {"name": "web:1"}}})"));
}

TEST_CASE("a config that is broken or not ours is an error, not an exception", "[bus]") {
    CHECK_FALSE(parse_declaration(""));
    CHECK_FALSE(parse_declaration("[]"));
    CHECK_FALSE(parse_declaration("{}"));
    CHECK_FALSE(parse_declaration(R"({"ctrd": {"sockets": 7}})"));
    CHECK_FALSE(parse_declaration(R"({"ctrd": {"sockets": [{"name": 1}]}})"));
    CHECK_FALSE(parse_declaration(R"({"root": {"path": 7}, "ctrd": {"sockets": []}})"));
    CHECK_FALSE(parse_declaration(R"({"root": "x", "ctrd": {"sockets": []}})"));
}

TEST_CASE("a failed start says ctr-run's own reason before systemd's", "[bus]") {
    auto facts = unit("failed");
    facts.result = "timeout";
    CHECK(start_failure("web", "failed", facts).message == "container 'web' did not start: it was not ready in time");
    facts.status_text = "cannot run '/bin/x': No such file or directory";
    CHECK(start_failure("web", "failed", facts).message ==
          "container 'web' did not start: cannot run '/bin/x': No such file or directory");
    CHECK(start_failure("web", "failed", facts).hint == "journalctl -u ctr@web.service");
}

TEST_CASE("a failed start without a reason of ctr-run's says how the first process ended", "[bus]") {
    auto facts = unit("failed");
    facts.result = "exit-code";
    facts.main_code = CLD_EXITED;
    facts.main_status = 7;
    CHECK(start_failure("web", "failed", facts).message ==
          "container 'web' did not start: its first process exited with status 7");
    facts.main_code = CLD_KILLED;
    facts.main_status = SIGSEGV;
    CHECK(start_failure("web", "failed", facts).message ==
          "container 'web' did not start: its first process was ended by SIGSEGV");
    facts.main_code = 0;
    CHECK(start_failure("web", "failed", facts).message ==
          "container 'web' did not start: its job ended with 'failed', its unit with 'exit-code'");
}

TEST_CASE("a start that another request has overtaken is told as that", "[bus]") {
    const auto error = start_failure("web", "canceled", unit("inactive"));
    CHECK(error.message == "container 'web' did not start: somebody asked for something else meanwhile");
    CHECK(error.hint.empty());
}

TEST_CASE("what is declared of the standby is read from the compiled config", "[bus][standby]") {
    const auto declared = parse_declaration(
        R"({"ctrd":{"sockets":[],"standby":{"mode":"frozen","idle_timeout_ms":1500,"reclaim_memory":true}}})");
    REQUIRE(declared);
    REQUIRE(declared->standby);
    CHECK(declared->standby->mode == "frozen");
    CHECK(declared->standby->idle_timeout == std::chrono::milliseconds{1500});
    CHECK(declared->standby->reclaim_memory);
    CHECK(declared->standby->max_lifetime == std::chrono::milliseconds{0});
    CHECK_FALSE(parse_declaration(R"({"ctrd":{"sockets":[]}})")->standby);
    CHECK_FALSE(parse_declaration(R"({"ctrd":{"sockets":[],"standby":{}}})"));
}
