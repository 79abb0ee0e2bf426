#include "tools/ctr-oci/options.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using ctr_oci::Options;

namespace {

using Words = std::vector<std::string>;

Result<void> parse(Words words, Options& options) {
    words.insert(words.begin(), "ctr-oci");
    std::vector<char*> argv;
    for (std::string& word : words)
        argv.push_back(word.data());
    return ctr_oci::parse_options(static_cast<int>(argv.size()), argv.data(), options);
}

Options parsed(Words words) {
    Options options;
    const auto result = parse(std::move(words), options);
    INFO((result ? "" : to_text(result.error())));
    REQUIRE(result.has_value());
    return options;
}

std::string error_of(Words words) {
    Options options;
    const auto result = parse(std::move(words), options);
    REQUIRE_FALSE(result.has_value());
    return to_text(result.error());
}

} // namespace

TEST_CASE("what conmon passes for create is understood", "[options]") {
    const Options o = parsed({"--log-format=json", "--log", "/l", "--root", "/r", "--systemd-cgroup", "create",
                              "--bundle", "/b", "--pid-file", "/p", "--no-pivot", "--no-new-keyring",
                              "--console-socket", "/c", "--preserve-fds", "2", "web"});
    CHECK(o.command == "create");
    CHECK(o.log == "/l");
    CHECK(o.log_json);
    CHECK(o.root == "/r");
    CHECK(o.systemd_cgroup);
    CHECK(o.bundle == "/b");
    CHECK(o.pid_file == "/p");
    CHECK(o.no_pivot);
    CHECK(o.no_new_keyring);
    CHECK(o.console_socket == "/c");
    CHECK(o.preserve_fds == 2);
    CHECK(o.arguments == Words{"web"});
}

TEST_CASE("what containerd's shim passes is understood", "[options]") {
    const Options exec =
        parsed({"--root", "/r", "--log", "/l", "--log-format", "json", "--rootless=false", "exec", "--process",
                "/p.json", "--console-socket", "/c", "--detach", "--pid-file", "/p", "web"});
    CHECK(exec.process_file == "/p.json");
    CHECK(exec.detach);
    CHECK(exec.rootless == ctr_oci::Rootless::no);
    CHECK(parsed({"kill", "--all", "web", "9"}).arguments == Words{"web", "9"});
    CHECK(parsed({"kill", "--all", "web", "9"}).all);
    CHECK(parsed({"events", "--interval=100ms", "web"}).interval == std::chrono::milliseconds{100});
    CHECK(parsed({"events", "--interval", "1m30s", "web"}).interval == std::chrono::seconds{90});
    CHECK(parsed({"events", "--stats", "web"}).stats);
    CHECK(parsed({"update", "--resources=-", "web"}).resources_file == "-");
    CHECK(parsed({"update", "--resources", "-", "web"}).resources_file == "-");
    CHECK(parsed({"ps", "--format", "json", "web"}).json);
    CHECK(parsed({"delete", "--force", "web"}).force);
}

TEST_CASE("what follows the id of exec and ps belongs to the other program", "[options]") {
    const Options exec =
        parsed({"exec", "-t", "-u", "1:2", "-e", "A=1", "-e", "B=2", "--cap", "CAP_KILL", "web", "ls", "-t"});
    CHECK(exec.tty);
    CHECK(exec.user == "1:2");
    CHECK(exec.env == Words{"A=1", "B=2"});
    CHECK(exec.capabilities == Words{"CAP_KILL"});
    CHECK(exec.arguments == Words{"web", "ls", "-t"});
    CHECK(parsed({"ps", "web", "-o", "pid,comm"}).arguments == Words{"web", "-o", "pid,comm"});
    CHECK(parsed({"exec", "web", "--", "ls"}).arguments == Words{"web", "--", "ls"});
    CHECK(parsed({"exec", "--", "web", "-x"}).arguments == Words{"web", "-x"});
}

TEST_CASE("other commands' options may follow their arguments", "[options]") {
    CHECK(parsed({"delete", "web", "--force"}).force);
    CHECK(parsed({"run", "web", "-d"}).detach);
}

TEST_CASE("flags take true and false, and nothing else", "[options]") {
    CHECK_FALSE(parsed({"run", "--detach=false", "web"}).detach);
    CHECK(parsed({"run", "--detach=true", "web"}).detach);
    CHECK(parsed({"exec", "--no-new-privs=false", "web", "ls"}).no_new_privileges == false);
    CHECK_FALSE(parsed({"exec", "web", "ls"}).no_new_privileges.has_value());
    CHECK(error_of({"run", "--detach=yes", "web"}).find("detach") != std::string::npos);
}

TEST_CASE("update keeps each limit as it was given", "[options]") {
    const Options o = parsed({"update", "--memory", "64M", "--cpu-quota=-1", "--pids-limit", "-1", "web"});
    using Limit = std::pair<std::string, std::string>;
    CHECK(o.limits == std::vector<Limit>{{"memory", "64M"}, {"cpu-quota", "-1"}, {"pids-limit", "-1"}});
}

TEST_CASE("a wrong word is answered with the nearest right one", "[options]") {
    CHECK(error_of({"exce", "web"}).find("'exec'") != std::string::npos);
    CHECK(error_of({"exec", "--usr", "0", "web", "ls"}).find("'user'") != std::string::npos);
    CHECK(error_of({"--rot", "/x", "list"}).find("'root'") != std::string::npos);
    CHECK(error_of({"run"}).find("usage") != std::string::npos);
    CHECK(error_of({"run", "a", "b"}).find("usage") != std::string::npos);
    CHECK(error_of({"events", "--interval", "5", "web"}).find("5s") != std::string::npos);
    CHECK(error_of({"events", "--interval", "0s", "web"}).find("millisecond") != std::string::npos);
    CHECK(error_of({"run", "--preserve-fds", "-1", "web"}).find("--preserve-fds") != std::string::npos);
    CHECK(error_of({"--cgroup-manager", "disabled", "list"}).find("cgroupfs") != std::string::npos);
}

TEST_CASE("an error after --log still knows where the log is", "[options]") {
    Options options;
    CHECK_FALSE(parse({"--log", "/l", "--log-format", "json", "create", "--nonesuch", "web"}, options).has_value());
    CHECK(options.log == "/l");
    CHECK(options.log_json);
}

TEST_CASE("every command has help of its own", "[options]") {
    for (const char* command : {"run", "create", "start", "exec", "state", "kill", "delete", "list", "ps", "pause",
                                "resume", "update", "events", "features", "spec"}) {
        CHECK(parsed({command, "--help"}).command == "help");
        CHECK(ctr_oci::help_text(command).starts_with("ctr-oci " + std::string{command}));
        CHECK(ctr_oci::help_text().find("\n  " + std::string{command} + " ") != std::string::npos);
    }
}
