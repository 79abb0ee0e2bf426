#include "tools/ctr-oci/environment.hpp"
#include "tools/ctr-oci/exec_process.hpp"
#include "tools/ctr-oci/process_table.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using ctr_oci::Options;

namespace {

oci::Process base() {
    oci::Process process;
    process.terminal = true;
    process.args = {"init"};
    process.env = {"PATH=/bin", "A=old"};
    process.cwd = "/home";
    process.user = {5, 6, {}, {7}};
    process.capabilities.emplace();
    process.capabilities->bounding = 1;
    return process;
}

Options command(std::vector<std::string> words) {
    Options options;
    options.arguments = std::move(words);
    options.arguments.insert(options.arguments.begin(), "web");
    return options;
}

oci::Process made(const Options& options) {
    auto process = ctr_oci::make_exec_process(options, base());
    REQUIRE(process.has_value());
    return *process;
}

} // namespace

TEST_CASE("exec's process is the container's own with another command and no terminal", "[exec]") {
    const auto process = made(command({"ls", "-l"}));
    CHECK(process.args == std::vector<std::string>{"ls", "-l"});
    CHECK_FALSE(process.terminal);
    CHECK(process.cwd == "/home");
    CHECK(process.user.uid == 5);
    CHECK(process.user.additional_gids == std::vector<std::uint32_t>{7});
    CHECK(process.capabilities->bounding == 1);
}

TEST_CASE("what the command line says wins", "[exec]") {
    Options options = command({"ls"});
    options.cwd = "/tmp";
    options.user = "1000";
    options.additional_gids = {"8"};
    options.env = {"A=new", "B=1"};
    options.no_new_privileges = true;
    options.tty = true;
    options.apparmor = "mine";
    options.process_label = "label";
    const auto process = made(options);
    CHECK(process.cwd == "/tmp");
    CHECK(process.user.uid == 1000);
    CHECK(process.user.gid == 6);
    CHECK(process.user.additional_gids == std::vector<std::uint32_t>{7, 8});
    CHECK(process.env == std::vector<std::string>{"PATH=/bin", "A=new", "B=1"});
    CHECK(process.no_new_privileges);
    CHECK(process.terminal);
    CHECK(process.apparmor_profile == "mine");
    CHECK(process.selinux_label == "label");
    options.user = "1:2";
    CHECK(made(options).user.gid == 2);
}

TEST_CASE("a capability is added everywhere but to the inheritable ones", "[exec]") {
    Options options = command({"ls"});
    options.capabilities = {"CAP_KILL"};
    const auto sets = *made(options).capabilities;
    CHECK(sets.bounding == 0x21);
    CHECK(sets.effective == 0x20);
    CHECK(sets.permitted == 0x20);
    CHECK(sets.inheritable == 0);
    CHECK(sets.ambient == 0);
    options.capabilities = {"CAP_NONESUCH"};
    CHECK_FALSE(ctr_oci::make_exec_process(options, base()).has_value());
}

TEST_CASE("a user is digits, and digits for the group, and nothing else", "[exec]") {
    for (const char* bad : {"root", "1000x", " 0", "0 ", "+0", "-1", "0x0", ":", "1:", ":1", "1:x", "1:2:3",
                            "4294967295", "4294967296", "99999999999999999999", "1000\n0"}) {
        Options options = command({"ls"});
        options.user = bad;
        INFO(bad);
        CHECK_FALSE(ctr_oci::make_exec_process(options, base()).has_value());
    }
    Options options = command({"ls"});
    options.additional_gids = {"1", "x"};
    CHECK_FALSE(ctr_oci::make_exec_process(options, base()).has_value());
}

TEST_CASE("a command or a process file, one of them", "[exec]") {
    CHECK_FALSE(ctr_oci::make_exec_process(command({}), base()).has_value());
    CHECK_FALSE(ctr_oci::make_exec_process(command({""}), base()).has_value());
    Options options = command({});
    options.process_file = "p.json";
    const auto process = ctr_oci::make_exec_process(options, base());
    REQUIRE(process.has_value());
    CHECK(process->args == std::vector<std::string>{"init"});
    CHECK(process->terminal);
    options.arguments.emplace_back("ls");
    CHECK_FALSE(ctr_oci::make_exec_process(options, base()).has_value());
}

TEST_CASE("relative folders and variables without a name are refused", "[exec]") {
    Options options = command({"ls"});
    options.cwd = "tmp";
    CHECK_FALSE(ctr_oci::make_exec_process(options, base()).has_value());
    for (const char* bad : {"A", "=x", ""}) {
        options = command({"ls"});
        options.env = {bad};
        CHECK_FALSE(ctr_oci::make_exec_process(options, base()).has_value());
    }
}

TEST_CASE("the home is the first valid line's that has the uid", "[environment]") {
    const char* passwd =
        "root:x:0:0:root:/root:/bin/sh\nbad\nodd:x:5:5::relative:\na:x:5:5::/home/a:/bin/sh\nb:x:5:5::/b:";
    CHECK(ctr_oci::home_of(passwd, 0) == "/root");
    CHECK(ctr_oci::home_of(passwd, 5) == "/home/a");
    CHECK(ctr_oci::home_of(passwd, 9) == "/");
    CHECK(ctr_oci::home_of("", 0) == "/");
    CHECK(ctr_oci::home_of("x:x:4294967296:0::/wrong:", 0) == "/");
}

TEST_CASE("ps' lines are chosen by the column that it calls PID", "[ps]") {
    const char* table =
        "UID          PID    PPID CMD\nroot          12       1 /bin/a 13\nroot          13      12 b\n";
    CHECK(ctr_oci::lines_of_processes(table, {13}) == "UID          PID    PPID CMD\nroot          13      12 b\n");
    CHECK(ctr_oci::lines_of_processes("  PID CMD\n    1 x\n", {}) == "  PID CMD\n");
    CHECK_FALSE(ctr_oci::lines_of_processes("CMD\nx\n", {1}).has_value());
    CHECK_FALSE(ctr_oci::lines_of_processes("", {1}).has_value());
}
