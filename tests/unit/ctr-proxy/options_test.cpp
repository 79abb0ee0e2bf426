#include "tools/ctr-proxy/options.hpp"
#include "tools/ctr-proxy/target.hpp"

#include <catch2/catch.hpp>

namespace ctrd::proxy {
namespace {

Result<Options> parse(std::vector<std::string> words) {
    std::vector<char*> argv;
    for (std::string& word : words)
        argv.push_back(word.data());
    return parse_options(static_cast<int>(argv.size()), argv.data());
}

} // namespace

TEST_CASE("the proxy's command line names its routes") {
    const auto options = parse({"ctr-proxy", "web", "5", "6", "/sys/fs/cgroup/x", "99", "98", "30000",
                                "0:stream:wait:7:80", "3:datagram:now:8:53", "4:stream:wait:9:/run/a:b.sock"});
    REQUIRE(options);
    CHECK(options->ready == 5);
    CHECK(options->container == 6);
    CHECK(options->user == 99);
    CHECK(options->group == 98);
    CHECK(options->patience == std::chrono::seconds{30});
    REQUIRE(options->routes.size() == 3);
    CHECK(options->routes[0].port == 80);
    CHECK_FALSE(options->routes[0].datagram);
    CHECK(options->routes[1].number == 3);
    CHECK(options->routes[1].datagram);
    CHECK(options->routes[1].at_once);
    CHECK(options->routes[1].listener == 8);
    CHECK(options->routes[2].path == "/run/a:b.sock"); // a colon in a path is its own
}

TEST_CASE("a command line that is not complete is refused") {
    CHECK_FALSE(parse({"ctr-proxy"}));
    CHECK_FALSE(parse({"ctr-proxy", "web", "5", "6", "/x", "99", "98", "30000"}));
    CHECK_FALSE(parse({"ctr-proxy", "web", "five", "6", "/x", "99", "98", "30000", "0:stream:wait:7:80"}));
    CHECK_FALSE(parse({"ctr-proxy", "web", "5", "6", "/x", "99", "98", "30000", "0:stream:wait:7:70000"}));
}

TEST_CASE("a port is looked for on both loopbacks, a path once") {
    Route port;
    port.port = 80;
    CHECK(attempts_for(port) == 2);
    CHECK(target_of(port, 0).four.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(target_of(port, 1).six.sin6_port == htons(80));
    Route path;
    path.path = "/run/web.sock";
    CHECK(attempts_for(path) == 1);
    CHECK(target_of(path, 0).any.sa_family == AF_UNIX);
    CHECK(std::string{target_of(path, 0).local.sun_path} == "/run/web.sock");
}

} // namespace ctrd::proxy
