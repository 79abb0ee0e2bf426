#include "ctrd/bus/registry.hpp"

#include "ctrd/base/file.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace ctrd;
using namespace ctrd::bus;

namespace {

/// A folder of compiled containers, and everything that the registry told.
struct Fixture {
    std::string folder = [] {
        char name[] = "/tmp/ctrd-registry-XXXXXX";
        return std::string{::mkdtemp(name)};
    }();
    Registry registry{folder};
    std::vector<std::string> told{};

    Fixture() {
        registry.on_events({[this](const Container& c) { told.push_back("added " + c.name); },
                            [this](const Container& c) { told.push_back("removed " + c.name); },
                            [this](const Container& c, Change change) {
                                told.push_back("changed " + c.name +
                                               (change.state ? std::string{" "} + state_of(c.unit) : "") +
                                               (change.declared ? " declaration" : ""));
                            }});
    }
    ~Fixture() { std::filesystem::remove_all(folder); }
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;

    void declare(const std::string& name, const std::string& source) const {
        std::filesystem::create_directories(folder + "/" + name);
        const std::string text = R"({"ctrd": {"source": ")" + source + R"(", "sockets": []}})";
        REQUIRE(write_atomic(folder + "/" + name + "/config.json", text, 0600));
    }
    std::vector<std::string> take_told() { return std::exchange(told, {}); }
};

systemd::UnitFacts unit(const char* active, std::uint32_t pid = 0) {
    systemd::UnitFacts facts;
    facts.active = active;
    facts.main_pid = pid;
    return facts;
}

using Told = std::vector<std::string>;

} // namespace

TEST_CASE("declared containers are listed whether they run or not", "[bus]") {
    Fixture f;
    f.declare("web", "/srv/web");
    f.declare("db", "/srv/db");
    std::filesystem::create_directories(f.folder + "/empty");
    std::filesystem::create_directories(f.folder + "/-no-name-");
    f.registry.set_unit("web", unit("active", 42));
    f.registry.read_all_declared();
    REQUIRE(f.registry.containers().size() == 2);
    CHECK(leader_of(f.registry.find("web")->unit) == 42);
    CHECK(f.registry.find("db")->declared->source == "/srv/db");
    CHECK(f.registry.find("nosuch") == nullptr);
}

TEST_CASE("each change is told once, with what it changed", "[bus]") {
    Fixture f;
    f.declare("web", "/srv/web");
    f.registry.read_declared("web");
    CHECK(f.take_told() == Told{"added web"});
    f.registry.read_declared("web");
    CHECK(f.take_told().empty());
    f.registry.set_unit("web", unit("activating", 41));
    f.registry.set_unit("web", unit("activating", 42)); // no leader yet: nothing that anybody sees
    CHECK(f.take_told() == Told{"changed web starting"});
    f.registry.set_unit("web", unit("active", 42));
    f.registry.set_unit("web", unit("active", 43));
    CHECK(f.take_told() == Told{"changed web running", "changed web"});
    f.declare("web", "/srv/other");
    f.registry.read_declared("web");
    CHECK(f.take_told() == Told{"changed web declaration"});
    f.registry.unit_unloaded("web");
    CHECK(f.take_told() == Told{"changed web stopped"});
}

TEST_CASE("a container that is no longer declared goes when it has ended", "[bus]") {
    Fixture f;
    f.declare("web", "/srv/web");
    f.registry.read_all_declared();
    f.registry.set_unit("web", unit("active", 42));
    std::filesystem::remove_all(f.folder + "/web");
    f.registry.read_all_declared();
    REQUIRE(f.registry.find("web") != nullptr);
    CHECK_FALSE(f.registry.find("web")->declared);
    f.take_told();
    f.registry.set_unit("web", unit("failed"));
    CHECK(f.take_told() == Told{"removed web"});
    CHECK(f.registry.find("web") == nullptr);
}

TEST_CASE("a unit that nobody declares is remembered, for when somebody does", "[bus]") {
    Fixture f;
    f.registry.set_unit("web", unit("failed"));
    CHECK(f.take_told().empty());
    CHECK(f.registry.unit("web").active == "failed");
    f.declare("web", "/srv/web");
    f.registry.read_declared("web");
    CHECK(f.take_told() == Told{"added web"});
    CHECK(f.registry.find("web")->unit.active == "failed");
}

TEST_CASE("a config that can't be read is listed without its facts", "[bus]") {
    Fixture f;
    std::filesystem::create_directories(f.folder + "/web");
    REQUIRE(write_atomic(f.folder + "/web/config.json", "{", 0600));
    f.registry.read_declared("web");
    REQUIRE(f.registry.find("web") != nullptr);
    CHECK(f.registry.find("web")->declared->source.empty());
}
