#include "tools/ctrctl/adhoc.hpp"
#include "tools/ctrctl/command_line.hpp"
#include "tools/ctrctl/output.hpp"

#include "ctrd/base/file.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

using namespace ctrd::ctl;

namespace {

template <class Options> Options parsed(std::vector<std::string> words) {
    auto command = parse_command_line(std::move(words));
    REQUIRE(command);
    REQUIRE(std::holds_alternative<Options>(*command));
    return std::get<Options>(*command);
}

ctrd::Error refused(std::vector<std::string> words) {
    auto command = parse_command_line(std::move(words));
    REQUIRE_FALSE(command);
    CHECK(command.error().exit == exit_bad_input);
    return command.error().error;
}

using Words = std::vector<std::string>;

struct Folder {
    std::string path = [] {
        char name[] = "/tmp/ctrctl-test-XXXXXX";
        return std::string{::mkdtemp(name)};
    }();
    ~Folder() {
        ::rmdir((path + "/adhoc").c_str());
        ::rmdir(path.c_str());
    }
};

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

} // namespace

TEST_CASE("after the command's first word no option is ctrctl's", "[arguments]") {
    CHECK(parsed<ExecOptions>({"exec", "web", "ls", "-u", "--json", "--", "x"}).command ==
          Words{"ls", "-u", "--json", "--", "x"});
    const auto exec = parsed<ExecOptions>({"exec", "-u", "nobody", "-e", "A=1", "web", "-e", "B=2", "ls", "-l"});
    CHECK(exec.user == "nobody");
    CHECK(exec.name == "web");
    CHECK(exec.environment == Words{"A=1", "B=2"});
    CHECK(exec.command == Words{"ls", "-l"});
}

TEST_CASE("-- separates the command, and is not part of it", "[arguments]") {
    CHECK(parsed<ExecOptions>({"exec", "web", "--", "sh", "-c", "true"}).command == Words{"sh", "-c", "true"});
    CHECK(parsed<ExecOptions>({"exec", "web", "sh", "--", "x"}).command == Words{"sh", "--", "x"});
    CHECK(parsed<ExecOptions>({"exec", "web", "--", "--", "x"}).command == Words{"--", "x"});
    CHECK(parsed<StatusOptions>({"status", "--", "web"}).names == Words{"web"});
    const auto run = parsed<RunOptions>({"run", "--rootfs", "/srv", "--", "sh", "-t"});
    CHECK(run.command == Words{"sh", "-t"});
    CHECK_FALSE(run.terminal);
    CHECK(parsed<RunOptions>({"run", "--bundle", "/srv"}).command.empty());
    CHECK(parsed<RunOptions>({"run", "--rootfs", "/srv", "sh"}).image.empty());
    const auto image = parsed<RunOptions>({"run", "--name", "a", "web:1", "-c", "--name"});
    CHECK(image.image == "web:1");
    CHECK(image.command == Words{"-c", "--name"});
    CHECK(parsed<RunOptions>({"run", "web:1", "--", "sh", "--"}).command == Words{"sh", "--"});
    CHECK(parsed<RunOptions>({"run", "--", "web:1", "sh"}).image == "web:1");
    CHECK(parsed<RunOptions>({"run", "web:1"}).command.empty());
}

TEST_CASE("a command or container may have the name of a verb", "[arguments]") {
    CHECK(parsed<ExecOptions>({"exec", "web", "list"}).command == Words{"list"});
    CHECK(parsed<ExecOptions>({"exec", "list", "exec", "list"}).command == Words{"exec", "list"});
    CHECK(parsed<ControlOptions>({"start", "stop", "exec"}).names == Words{"stop", "exec"});
}

TEST_CASE("each verb gets its own options", "[arguments]") {
    const auto kill = parsed<ControlOptions>({"kill", "-s", "HUP", "--whom=all", "web", "db"});
    CHECK(kill.verb == "kill");
    CHECK(kill.signal == "HUP");
    CHECK(kill.whom == "all");
    CHECK(kill.names == Words{"web", "db"});
    CHECK(parsed<ControlOptions>({"restart", "web"}).verb == "restart");
    CHECK(parsed<LogsOptions>({"logs", "-f", "-n", "5", "web"}).lines == "5");
    CHECK(parsed<ApplyOptions>({"apply", "-n"}).dry_run);
    CHECK(parsed<CheckOptions>({"check", "a.toml", "b.toml"}).files == Words{"a.toml", "b.toml"});
    CHECK(parsed<ListOptions>({"list", "-q"}).quiet);
}

TEST_CASE("an option that does not exist is refused with the nearest one", "[arguments]") {
    CHECK(refused({"exec", "--usr", "web", "ls"}).message == "unknown option '--usr' of 'ctrctl exec'");
    CHECK(refused({"list", "--jsno"}).hint == "did you mean '--json'?");
    CHECK(refused({"--verison"}).hint == "did you mean '--version'?");
    CHECK(refused({"run", "--bogus", "--", "sh"}).message == "unknown option '--bogus' of 'ctrctl run'");
}

TEST_CASE("a verb that does not exist is refused with the nearest one", "[arguments]") {
    const auto error = refused({"lsit"});
    CHECK(error.message == "unknown verb 'lsit'");
    CHECK(error.hint == "did you mean 'ctrctl list'?");
    CHECK(refused({}).message == "no verb is given");
}

TEST_CASE("what is missing, too much or of the wrong kind is refused", "[arguments]") {
    CHECK(refused({"start"}).message == "NAME is required");
    CHECK(refused({"list", "web"}).message == "'ctrctl list' does not take 'web'");
    CHECK(refused({"logs", "-n", "x", "web"}).message == "--lines: 'x' is not a number");
    refused({"kill", "--whom=nobody", "web"});
    refused({"run", "--rootfs", "/a", "--bundle", "/b"});
    refused({"exec", "-t", "-T", "web", "true"});
}

TEST_CASE("--json takes its value only with an equals sign", "[arguments]") {
    const auto status = parsed<StatusOptions>({"status", "--json", "web"});
    CHECK(json_of(status.json) == Json::pretty);
    CHECK(status.names == Words{"web"});
    CHECK(json_of(parsed<ListOptions>({"list", "--json=short"}).json) == Json::brief);
    CHECK(json_of(parsed<ListOptions>({"list"}).json) == Json::off);
    refused({"list", "--json=long"});
    CHECK(json_of(parsed<ListOptions>({"--json=short", "list"}).json) == Json::brief);
    const auto before = parsed<StatusOptions>({"--json", "status", "web"});
    CHECK(json_of(before.json) == Json::pretty);
    CHECK(before.names == Words{"web"});
    CHECK(parsed<ExecOptions>({"--no-ask-password", "exec", "web", "ls", "--json"}).command == Words{"ls", "--json"});
    CHECK(parsed<ImageOptions>({"--json", "image", "list"}).verb == "list");
    refused({"--json"});
    refused({"--json", "start", "web"});
}

TEST_CASE("help is an answer, for the program and for each verb", "[arguments]") {
    CHECK(parsed<Answer>({"--version"}).text.starts_with("ctrctl "));
    CHECK(parsed<Answer>({"--help"}).text.find("Exit codes: ") != std::string::npos);
    for (const char* verb :
         {"list", "status", "start", "stop", "restart", "kill", "exec", "logs", "run", "check", "apply"})
        CHECK(parsed<Answer>({verb, "--help"}).text.find(std::string{"Usage: ctrctl "} + verb) != std::string::npos);
    CHECK(parsed<Answer>({"exec", "--help"}).text.find("NAME COMMAND [ARGUMENT...]\n") != std::string::npos);
}

TEST_CASE("names and environment variables are checked before anybody is asked", "[arguments]") {
    CHECK(check_names({"web", "a.b-c"}));
    CHECK_FALSE(check_names({"web", "../etc"}));
    CHECK(check_assignments({"A=", "B_2=x=y"}));
    for (const char* bad : {"A", "=x", "2A=x", "A B=x"})
        CHECK_FALSE(check_assignments({bad}));
}

TEST_CASE("an ad-hoc bundle is private and goes with its owner", "[adhoc]") {
    const Folder folder;
    std::string path;
    {
        const auto bundle = AdhocBundle::create("web", "{}", folder.path);
        REQUIRE(bundle);
        path = bundle->path();
        CHECK(ctrd::read_file(path + "/config.json").value() == "{}");
        struct stat st {};
        REQUIRE(::stat(path.c_str(), &st) == 0);
        CHECK((st.st_mode & 07777) == 0700);
        const auto second = AdhocBundle::create("web", "{}", folder.path);
        REQUIRE_FALSE(second);
        CHECK(second.error().exit == exit_failure);
        CHECK(second.error().error.message == "the name 'web' is already in use by another 'ctrctl run'");
        CHECK(AdhocBundle::create("other", "{}", folder.path));
        CHECK(exists(path + "/config.json"));
    }
    CHECK_FALSE(exists(path));
}

TEST_CASE("what a killed ctrctl left behind is swept away by the next run", "[adhoc]") {
    const Folder folder;
    REQUIRE(ctrd::make_dirs(folder.path + "/adhoc/old", 0700));
    REQUIRE(ctrd::write_atomic(folder.path + "/adhoc/old/config.json", "{}", 0600));
    const auto bundle = AdhocBundle::create("web", "{}", folder.path);
    REQUIRE(bundle);
    CHECK_FALSE(exists(folder.path + "/adhoc/old"));
    const auto again = AdhocBundle::create("old", "{}", folder.path);
    CHECK(again);
}

TEST_CASE(
    "what the runtime logged tells a missing command from one that can't be executed, and both from its own failure",
    "[adhoc]") {
    CHECK(exit_code_of("container 'x': cannot run '/bin/no': No such file or directory\n  hint: ...\n") ==
          exit_not_found);
    CHECK(exit_code_of("cannot run '/etc/passwd': Permission denied\n") == exit_cannot_execute);
    CHECK(exit_code_of("step 3/20: mount proc: Operation not permitted\n") == exit_internal);
}
