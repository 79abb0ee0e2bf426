#include "helpers.hpp"

using namespace ctrd;
using namespace ctrd::config;

TEST_CASE("what starts a container besides connections is systemd's to wait for", "[config][start-on]") {
    const auto compiled = compile_text(declaration("[[start-on]]\npath-exists = \"/srv/in%box\"\n[[start-on]]\n"
                                                   "calendar = \"Mon 04:00\"\n[[start-on]]\nevery = \"15min\"\n"));
    CHECK_THAT(file_of(compiled, "ctr@web.path"), Catch::Contains("\n[Path]\nPathExists=/srv/in%%box\n"));
    CHECK_THAT(file_of(compiled, "ctr@web.timer"),
               Catch::Contains("\nOnCalendar=Mon 04:00\nOnUnitInactiveSec=15min\nOnActiveSec=15min\n"));
    CHECK(has_link(compiled, "paths.target.wants/ctr@web.path"));
    CHECK(has_link(compiled, "timers.target.wants/ctr@web.timer"));
    CHECK_FALSE(has_link(compiled, "multi-user.target.wants/ctr@web.service"));
}

TEST_CASE("a [[start-on]] that says nothing, too much or nonsense is refused", "[config][start-on]") {
    const auto with = [](const std::string& lines) { return problems_of(declaration("[[start-on]]\n" + lines)); };
    CHECK_THAT(with(""), Catch::Contains("says one thing to wait for"));
    CHECK_THAT(with("path-exists = \"/a\"\ncalendar = \"daily\"\n"), Catch::Contains("says one thing to wait for"));
    CHECK_THAT(with("path-exist = \"/a\"\n"), Catch::Contains("did you mean 'path-exists'?"));
    CHECK_THAT(with("path-exists = \"a\"\n"), Catch::Contains("'path-exists': "));
    CHECK_THAT(with("calendar = \"dai$ly\"\n"), Catch::Contains("is not a time of the calendar"));
    CHECK_THAT(with("every = \"10ms\"\n"), Catch::Contains("at least a second"));
    CHECK_THAT(problems_of(declaration("start = \"boot\"\n[[start-on]]\nevery = \"1h\"\n")),
               Catch::Contains("there from boot on"));
}
