#include "tools/ctrctl/apply_plan.hpp"

#include <catch2/catch.hpp>

using namespace ctrd::ctl;
using ctrd::config::Changes;
using ctrd::config::Start;

namespace {

Situation listening(Changes changes) {
    return {
        .name = "web", .changes = changes, .start = Start::connection, .listens = {"0.0.0.0:8080"}, .socket_up = true};
}

} // namespace

TEST_CASE("a new container with a socket listens and does not run", "[apply]") {
    const auto d = decide({.name = "web",
                           .changes = {.config = true, .service = true, .socket = true, .added = true},
                           .start = Start::connection,
                           .listens = {"0.0.0.0:8080"}});
    CHECK(d.reload);
    CHECK(d.start_socket);
    CHECK_FALSE(d.start_service);
    CHECK(d.summary == "created, listening on 0.0.0.0:8080");
}

TEST_CASE("a new boot container is started, a manual one is not", "[apply]") {
    CHECK(decide({.name = "db", .changes = {.added = true}, .start = Start::boot}).summary == "created, started");
    const auto manual = decide({.name = "job", .changes = {.added = true}, .start = Start::manual});
    CHECK_FALSE(manual.start_service);
    CHECK(manual.summary == "created; 'ctrctl start job' starts it");
}

TEST_CASE("a container that runs from an older image is restarted, and the new one is named", "[apply]") {
    auto now = listening({.config = true, .service = true, .image = true});
    now.image = "web:1 (sha256:0123456789ab)";
    now.service_up = true;
    CHECK(decide(now).restart_service);
    CHECK(decide(now).summary == "changed, its image is now web:1 (sha256:0123456789ab), restarted");
    now.service_up = false;
    CHECK_FALSE(decide(now).restart_service);
    CHECK(decide(now).summary == "changed, its image is now web:1 (sha256:0123456789ab), used from its next start on");
}

TEST_CASE("what is as declared is left alone", "[apply]") {
    auto now = listening({});
    now.service_up = true;
    CHECK(decide(now).does_nothing());
    CHECK(decide(now).summary.empty());
    CHECK(decide({.name = "db", .start = Start::boot}).does_nothing()); // stopped by its administrator
}

TEST_CASE("a removed container stops before the reload, its socket first", "[apply]") {
    const auto d = decide({.name = "web", .declared = false, .service_up = true, .socket_up = true});
    CHECK(d.stop_socket_before);
    CHECK(d.stop_service_before);
    CHECK(d.reload);
    CHECK_FALSE(d.start_socket);
    CHECK(d.summary == "removed, stopped");
}

TEST_CASE("a changed configuration restarts what runs and leaves its socket listening", "[apply]") {
    auto now = listening({.config = true});
    now.service_up = true;
    const auto d = decide(now);
    CHECK(d.restart_service);
    CHECK_FALSE(d.stop_socket_before);
    CHECK(d.summary == "changed, restarted");
    now.service_up = false;
    CHECK_FALSE(decide(now).restart_service);
    CHECK(decide(now).summary == "changed, used from its next start on");
}

TEST_CASE("a changed address stops service and socket first and starts both again", "[apply]") {
    auto now = listening({.config = true, .socket = true});
    now.service_up = true;
    const auto d = decide(now);
    CHECK(d.stop_socket_before);
    CHECK(d.stop_service_before);
    CHECK(d.start_socket);
    CHECK(d.start_service);
    CHECK_FALSE(d.restart_service);
    CHECK(d.summary == "changed, listening on 0.0.0.0:8080, restarted");
}

TEST_CASE("a changed address of a container that does not run only moves the socket", "[apply]") {
    const auto d = decide(listening({.config = true, .socket = true}));
    CHECK(d.start_socket);
    CHECK_FALSE(d.start_service);
    CHECK(d.summary == "changed, listening on 0.0.0.0:8080, used from its next start on");
}

TEST_CASE("a container that loses its socket listens no more", "[apply]") {
    auto now = listening({.config = true, .socket = true});
    now.listens.clear();
    now.service_up = true;
    now.start = Start::boot;
    const auto d = decide(now);
    CHECK(d.stop_socket_before);
    CHECK_FALSE(d.start_socket);
    CHECK(d.start_service);
    CHECK(d.summary == "changed, listening no more, restarted");
}

TEST_CASE("a changed limit takes effect without a restart", "[apply]") {
    auto now = listening({.service = true});
    now.service_up = true;
    const auto d = decide(now);
    CHECK(d.reload);
    CHECK_FALSE(d.restart_service);
    CHECK(d.summary == "changed, in effect without a restart");
}

TEST_CASE("after a daemon-reload by hand apply still finds what runs with an old configuration", "[apply]") {
    auto now = listening({});
    now.service_up = true;
    now.service_outdated = true;
    CHECK(decide(now).restart_service);
    now.socket_broken = true;
    CHECK(decide(now).start_socket);
    CHECK(decide(now).stop_service_before);
}

TEST_CASE("a socket that failed before is tried again", "[apply]") {
    auto now = listening({});
    now.socket_up = false;
    CHECK(decide(now).start_socket);
    CHECK(decide(now).summary == "unchanged, listening on 0.0.0.0:8080");
}

TEST_CASE("a running container is not disturbed for a socket unit that is down, unless it is named", "[apply]") {
    auto now = listening({});
    now.socket_up = false;
    now.service_up = true;
    CHECK(decide(now).does_nothing());
    now.named = true;
    CHECK(decide(now).start_socket);
    CHECK(decide(now).stop_service_before);
}

TEST_CASE("a failed boot container is started again if it changed or is named", "[apply]") {
    Situation now{.name = "db", .start = Start::boot, .service_failed = true};
    CHECK(decide(now).does_nothing());
    now.named = true;
    CHECK(decide(now).start_service);
    now.named = false;
    now.changes.config = true;
    CHECK(decide(now).start_service);
}

TEST_CASE("words are joined as in a sentence", "[apply]") {
    CHECK(join_words({}).empty());
    CHECK(join_words({"a"}) == "a");
    CHECK(join_words({"a", "b"}) == "a and b");
    CHECK(join_words({"a", "b", "c"}) == "a, b and c");
}

TEST_CASE("what is newly declared to be there from boot on is started, one that was stopped by hand is not",
          "[apply]") {
    auto now = listening({.config = true, .service = true});
    now.start = Start::boot;
    CHECK_FALSE(decide(now).start_service);
    now.new_at_boot = true;
    CHECK(decide(now).start_service);
    CHECK(decide(now).summary == "changed, started");
}

TEST_CASE("those that wait for a connection are made anew when their declaration changes", "[apply][accept]") {
    auto now = listening({.config = true, .service = true});
    now.accepts = true;
    now.has_pool = true;
    CHECK(decide(now).renew_pool);
    CHECK_THAT(decide(now).summary, Catch::Contains("those that wait for a connection are made anew"));
    now.changes = {.config = true, .socket = true}; // the socket is started again, and with it the pool
    CHECK_FALSE(decide(now).renew_pool);
    now.changes = {};
    CHECK_FALSE(decide(now).renew_pool);
}

TEST_CASE("a container for each connection has no service that apply could start", "[apply][accept]") {
    auto now = listening({.config = true, .socket = true});
    now.accepts = true;
    now.service_up = true; // of the declaration before
    CHECK(decide(now).stop_service_before);
    CHECK_FALSE(decide(now).start_service);
}
