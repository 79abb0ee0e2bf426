#include "tools/ctrctl/describe.hpp"
#include "tools/ctrctl/instances.hpp"
#include "tools/ctrctl/output.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <csignal>

using namespace ctrd::ctl;

TEST_CASE("colour is for terminals, and the environment can switch it on and off", "[ctrctl]") {
    CHECK(wants_colour(true, {}));
    CHECK_FALSE(wants_colour(false, {}));
    CHECK_FALSE(wants_colour(true, {.no_color = "1"}));
    CHECK(wants_colour(true, {.no_color = ""}));
    CHECK_FALSE(wants_colour(true, {.term = "dumb"}));
    CHECK_FALSE(wants_colour(true, {.systemd_colors = "0"}));
    CHECK(wants_colour(false, {.systemd_colors = "256"}));
    CHECK(wants_colour(false, {.systemd_colors = "1", .no_color = "1"}));
}

TEST_CASE("a table keeps its columns in line and marks what is empty", "[ctrctl]") {
    Table table{{"NAME", "STATE"}};
    table.add({{"web"}, {"running"}});
    table.add({{"database"}, {""}});
    CHECK(table.render({}) == "NAME      STATE\nweb       running\ndatabase  -\n");
}

TEST_CASE("a table that is too wide shortens its widest column only", "[ctrctl]") {
    Table table{{"NAME", "SOURCE"}};
    table.add({{"web"}, {"/srv/containers/a-very-long-path"}});
    CHECK(table.render({.utf8 = true, .width = 20}) == "NAME  SOURCE\nweb   /srv/containe\u2026\n");
    CHECK(table.render({.utf8 = false, .width = 20}) == "NAME  SOURCE\nweb   /srv/contai...\n");
    CHECK(table.render({.width = 0}).find("a-very-long-path\n") != std::string::npos);
}

TEST_CASE("shortening counts characters and never cuts one in two", "[ctrctl]") {
    Table table{{"N", "SOURCE"}};
    table.add({{"x"}, {"/srv/\u00e4\u00f6\u00fc\u00df\u00e4\u00f6\u00fc"}});
    CHECK(table.render({.utf8 = true, .width = 12}) == "N  SOURCE\nx  /srv/\u00e4\u00f6\u00fc\u2026\n");
}

TEST_CASE("a table that no terminal of this width could show leaves its last columns out", "[ctrctl]") {
    Table table{{"NAME", "CPU", "MEMORY", "LIMIT", "TASKS", "READ", "WRITTEN", "CPU-PSI", "MEM-PSI", "IO-PSI"}};
    table.add(
        {{"a-long-name"}, {"12.5%"}, {"512.0M"}, {"1.0G"}, {"12"}, {"1.5M/s"}, {"1.5M/s"}, {"0.1"}, {"0.1"}, {"0.1"}});
    for (const unsigned width : {20U, 40U, 60U, 80U, 100U}) {
        const std::string text = table.render({.utf8 = true, .width = width});
        for (std::size_t begin = 0; begin < text.size();) {
            const auto end = text.find('\n', begin);
            CHECK(columns_of(text.substr(begin, end - begin)) <= width);
            begin = end + 1;
        }
    }
    CHECK(table.render({.utf8 = true, .width = 40}) == "NAME         CPU    MEMORY  LIMIT  TASKS\n"
                                                       "a-long-name  12.5%  512.0M  1.0G   12\n");
    CHECK(table.render({}).find("IO-PSI") != std::string::npos);
}

TEST_CASE("colour does not count as width", "[ctrctl]") {
    Table table{{"NAME", "STATE"}};
    table.add({{"web", Style::good}, {"up"}});
    CHECK(table.render({.colour = true}).find("\x1b[32mweb\x1b[0m   up\n") != std::string::npos);
}

TEST_CASE("nothing that is shown can steer the terminal", "[ctrctl]") {
    CHECK(printable("a\x1b[2Jb\x7f\n") == "a?[2Jb??");
    CHECK(printable("x\xc2\x9by") == "x?y");
    CHECK(printable("\u00e4") == "\u00e4");
}

TEST_CASE("JSON is one line when short, and survives bytes that are no UTF-8", "[ctrctl]") {
    const nlohmann::json value{{"path", "/srv/\xff"}};
    CHECK(json_text(value, Json::brief) == "{\"path\":\"/srv/\uFFFD\"}\n");
    CHECK(json_text(value, Json::pretty).find("\n    \"path\"") != std::string::npos);
    CHECK(json_of("short") == Json::brief);
    CHECK(json_of("off") == Json::off);
}

TEST_CASE("list gives every column of a container, as a table and as JSON", "[ctrctl]") {
    const std::vector<Row> rows{{"web", "running", "/srv/web", "ctr@web.service", "/io/ctrd1/container/web", 4242},
                                {"db", "stopped", "/srv/db", "ctr@db.service", "/io/ctrd1/container/db", 0}};
    CHECK(list_text(rows, {}) == "NAME  STATE    LEADER  UNIT             SOURCE\n"
                                 "web   running  4242    ctr@web.service  /srv/web\n"
                                 "db    stopped  -       ctr@db.service   /srv/db\n");
    const auto json = list_json(rows);
    REQUIRE(json.size() == 2);
    CHECK(json[0] == nlohmann::json{{"name", "web"},
                                    {"state", "running"},
                                    {"source", "/srv/web"},
                                    {"leader", 4242},
                                    {"unit", "ctr@web.service"},
                                    {"path", "/io/ctrd1/container/web"}});
    CHECK(list_json({}) == nlohmann::json::array());
}

TEST_CASE("list and status show the containers of single connections below the one that they are of", "[ctrctl]") {
    CHECK(short_name_of("ctr-echo@12-10.0.0.1:79-10.0.0.9:4711.service") == "echo@12");
    for (const char* other :
         {"ctr@echo.service", "ctr-echo.socket", "ctr-echo@.service", "ctr-@1-2.service", "x@1-2.service"})
        CHECK(short_name_of(other).empty());
    Row row{"echo", "listening", "/srv/echo", "ctr@echo.service", "/io/ctrd1/container/echo", 0};
    CHECK(list_json({row})[0]["instances"].empty());
    row.instances = {{"echo@12", "ctr-echo@12-a-b.service", 4242}};
    CHECK(list_text({row}, {}) == "NAME     STATE      LEADER  UNIT                     SOURCE\n"
                                  "echo     listening  -       ctr@echo.service         /srv/echo\n"
                                  "echo@12  running    4242    ctr-echo@12-a-b.service  /srv/echo\n");
    CHECK(list_json({row})[0]["instances"][0]["leader"] == 4242);
    const Details details{.name = "echo", .state = "listening", .instances = row.instances};
    CHECK(status_text(details, 0, {}).find("instance: ctr-echo@12-a-b.service (leader 4242)\n") != std::string::npos);
    CHECK(status_json(details)["instances"][0]["name"] == "echo@12");
}

TEST_CASE("status says how the last run ended, but not while another one goes on", "[ctrctl]") {
    Details details{
        .name = "web", .state = "failed", .unit = "ctr@web.service", .main_code = CLD_EXITED, .main_status = 7};
    CHECK(status_text(details, 0, {}).find("last run: exited with 7\n") != std::string::npos);
    CHECK(status_json(details)["exit_code"] == 7);
    details.leader = 12;
    CHECK(status_text(details, 0, {}).find("last run") == std::string::npos);
    CHECK(describe_end(CLD_KILLED, SIGKILL) == "killed by SIGKILL");
    CHECK(describe_end(CLD_DUMPED, SIGSEGV) == "killed by SIGSEGV, core dumped");
    CHECK(describe_end(CLD_KILLED, SIGKILL, "oom-kill") == "killed by SIGKILL, for lack of memory");
    CHECK(describe_end(0, 0).empty());
}

TEST_CASE("status shows where a socket listens and what it becomes inside", "[ctrctl]") {
    const Details details{.name = "web",
                          .state = "stopped",
                          .sockets = {{"0.0.0.0:8080", "adopt", "http", 80}, {"/run/x.sock", "pass", "", 0}}};
    const std::string text = status_text(details, 0, {});
    CHECK(text.find("socket: 0.0.0.0:8080 -> port 80 ('http', adopt)\n") != std::string::npos);
    CHECK(text.find("socket: /run/x.sock (pass)\n") != std::string::npos);
}

TEST_CASE("an age has two units at most", "[ctrctl]") {
    constexpr std::uint64_t second = 1'000'000;
    CHECK(describe_age(59 * second) == "59s");
    CHECK(describe_age(185 * second) == "3min 5s");
    CHECK(describe_age(7800 * second) == "2h 10min");
    CHECK(describe_age(86400 * second) == "1 day");
    CHECK(describe_age(4 * 86400 * second) == "4 days");
}
