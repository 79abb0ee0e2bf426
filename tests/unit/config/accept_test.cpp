#include "helpers.hpp"

using namespace ctrd;
using namespace ctrd::config;

namespace {

std::string with(const std::string& socket_lines, const std::string& more = {}) {
    return declaration(more + "[[socket]]\nlisten = \"127.0.0.1:80\"\naccept = true\n" + socket_lines);
}

} // namespace

TEST_CASE("with accept systemd makes a unit for each connection", "[config][accept]") {
    const auto compiled = compile_text(with("max-connections = 7\nmax-connections-per-source = 2\n"));
    const auto socket = file_of(compiled, "ctr-web.socket");
    CHECK_THAT(socket, Catch::Contains("\nAccept=yes\n") && Catch::Contains("\nListenStream=127.0.0.1:80\n") &&
                           Catch::Contains("\nMaxConnections=7\nMaxConnectionsPerSource=2\n") &&
                           Catch::Contains("\nTriggerLimitIntervalSec=0\n"));
    const auto service = file_of(compiled, "ctr-web@.service");
    CHECK_THAT(service, Catch::Contains("\nStandardInput=socket\nStandardOutput=socket\n") &&
                            Catch::Contains("/ctr-run connection web\n") &&
                            Catch::Contains("\nCollectMode=inactive-or-failed\n"));
    CHECK(has_link(compiled, "sockets.target.wants/ctr-web.socket"));
    CHECK(file_of(compiled, "ctr@web.service.d/10-ctrd.conf").empty());
    CHECK(nlohmann::json::parse(compiled.config_json)["ctrd"]["accept"] == true);
}

TEST_CASE("a connection is passed as descriptor 3 to who asks for it", "[config][accept]") {
    const auto service = file_of(compile_text(with("deliver = \"pass\"\n")), "ctr-web@.service");
    CHECK_THAT(service, Catch::Contains("\nStandardInput=null\nStandardOutput=journal\n"));
}

TEST_CASE("max-lifetime ends a connection's container", "[config][accept]") {
    const auto service = file_of(compile_text(with("", "max-lifetime = \"1h\"\n")), "ctr-web@.service");
    CHECK_THAT(service, Catch::Contains("\nRuntimeMaxSec=3600s\n") || Catch::Contains("\nRuntimeMaxSec=1h\n"));
}

TEST_CASE("what means nothing with accept is refused, each with its reason", "[config][accept]") {
    CHECK(problems_of(with("")).empty());
    CHECK_THAT(problems_of(with("port = 80\n")), Catch::Contains("the program binds nothing"));
    CHECK_THAT(problems_of(with("deliver = \"adopt\"\n")), Catch::Contains("there is a connection to hand over"));
    CHECK_THAT(problems_of(with("type = \"datagram\"\n")), Catch::Contains("a datagram socket has none"));
    CHECK_THAT(problems_of(with("", "standby = \"created\"\n")), Catch::Contains("nothing waits"));
    CHECK_THAT(problems_of(with("", "idle-timeout = \"5min\"\n")), Catch::Contains("ends with its connection"));
    CHECK_THAT(problems_of(with("", "restart = \"always\"\n")), Catch::Contains("can't be made again"));
    CHECK_THAT(problems_of(with("", "start = \"boot\"\n")), Catch::Contains("nothing to start at boot"));
    CHECK_THAT(problems_of(with("[[socket]]\nlisten = \"127.0.0.1:81\"\n")), Catch::Contains("and not for another"));
    CHECK_THAT(problems_of(declaration("[[socket]]\nlisten = \"80\"\ndeliver = \"stdio\"\n")),
               Catch::Contains("is for one connection"));
    CHECK_THAT(problems_of(declaration("[[socket]]\nlisten = \"80\"\nmax-connections = 3\n")),
               Catch::Contains("needs accept = true"));
}

TEST_CASE("with a warm pool the instances accept, and one unit sees to it that some wait", "[config][accept]") {
    const auto compiled = compile_text(with("max-connections = 9\n", "warm-pool = 3\n"));
    const auto socket = file_of(compiled, "ctr-web.socket");
    CHECK_THAT(socket, !Catch::Contains("Accept=") && !Catch::Contains("MaxConnections=") &&
                           Catch::Contains("\nWants=ctr-web.service\n") &&
                           Catch::Contains("\nExecStopPre=/usr/lib/ctrd/ctr-pool drain web\n"));
    CHECK_THAT(file_of(compiled, "ctr-web.service"),
               Catch::Contains("\nExecStart=/usr/lib/ctrd/ctr-pool fill web 3 9\n"));
    CHECK_THAT(file_of(compiled, "ctr-web@.service"),
               Catch::Contains("\nSockets=ctr-web.socket\nNonBlocking=yes\n") &&
                   Catch::Contains("/ctr-run wait-connection web\n") && Catch::Contains("\nStandardInput=null\n") &&
                   Catch::Contains("\nExecStopPost=/usr/lib/ctrd/ctr-pool fill web 3 9\n"));
    const auto pool = nlohmann::json::parse(compiled.config_json)["ctrd"]["warm_pool"];
    CHECK(pool == nlohmann::json{{"size", 3}, {"max_connections", 9}});
    CHECK(file_of(compile_text(with("")), "ctr-web.service").empty());
}

TEST_CASE("what a warm pool can't go with is refused", "[config][accept]") {
    CHECK_THAT(problems_of(declaration("warm-pool = 3\n[[socket]]\nlisten = \"80\"\n")),
               Catch::Contains("is for a container of each connection"));
    CHECK_THAT(problems_of(declaration("warm-pool = 3\n")), Catch::Contains("is for a container of each connection"));
    CHECK_THAT(problems_of(with("", "warm-pool = 0\n")), Catch::Contains("warm-pool"));
    CHECK_THAT(problems_of(with("warm-pool = 3\n")), Catch::Contains("about the whole container"));
    CHECK_THAT(problems_of(with("", "warm-pool = 65\n")), Catch::Contains("more would wait than"));
    CHECK_THAT(problems_of(with("max-connections-per-source = 2\n", "warm-pool = 3\n")),
               Catch::Contains("nobody counts"));
    CHECK_THAT(problems_of(with("", "warm-pool = 3\nmax-lifetime = \"1h\"\n")),
               Catch::Contains("would count the time"));
}

TEST_CASE("containers that write to the same layers at once are refused", "[config][accept]") {
    const std::string socket = "[[socket]]\nlisten = \"80\"\naccept = true\n";
    CHECK_THAT(problems_of("image = \"web:1\"\n" + socket), Catch::Contains("can't all write to the same layers"));
    CHECK(problems_of("image = \"web:1\"\nvolatile = \"overlay\"\n" + socket).empty());
    CHECK(problems_of("image = \"web:1\"\nread-only = true\n" + socket).empty());
}

TEST_CASE("the file of a socket with a path has the owner and mode that are declared", "[config]") {
    const auto path = [](const std::string& lines) {
        return declaration("[[socket]]\nlisten = \"/run/web.socket\"\n" + lines);
    };
    const auto text = file_of(compile_text(path("mode = \"0660\"\nuser = \"www-data\"\ngroup = 33\n")),
                              "ctr@web.socket.d/10-ctrd.conf");
    CHECK_THAT(text, Catch::Contains("\nSocketMode=0660\nSocketUser=www-data\nSocketGroup=33\n"));
    CHECK_THAT(problems_of(path("mode = \"0999\"\n")), Catch::Contains("'0999' is not a file's mode"));
    CHECK_THAT(problems_of(path("user = \"a b\"\n")), Catch::Contains("'a b' is not a name or number"));
    CHECK_THAT(problems_of(declaration("[[socket]]\nlisten = \"80\"\nmode = \"0660\"\n")),
               Catch::Contains("is about the file of a socket with a path"));
    CHECK_THAT(problems_of(path("mode = \"0660\"\n[[socket]]\nlisten = \"/run/two.socket\"\nmode = \"0600\"\n")),
               Catch::Contains("share 'mode', 'user' and 'group'"));
}

TEST_CASE("idle-timeout goes with stream sockets that have a path, and not with datagram ones", "[config][standby]") {
    const std::string idle = "idle-timeout = \"5min\"\n[[socket]]\nlisten = \"/run/web.socket\"\n";
    CHECK(problems_of(declaration(idle)).empty());
    CHECK_THAT(problems_of(declaration(idle + "type = \"datagram\"\ndeliver = \"pass\"\n")),
               Catch::Contains("leaves no trace"));
}
