#include "tools/ctrctl/run_spec.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using namespace ctrd::ctl;

TEST_CASE("a string is written so that TOML reads the same", "[ctrctl][run]") {
    CHECK(toml_string("") == "\"\"");
    CHECK(toml_string("a \"b\" \\ c") == "\"a \\\"b\\\" \\\\ c\"");
    CHECK(toml_string("line\nnext\x1b\x7f") == "\"line\\u000Anext\\u001B\\u007F\"");
    CHECK(toml_string("é") == "\"é\"");
}

TEST_CASE("what is run in the background is declared with what was given, and nothing else", "[ctrctl][run]") {
    config::UnitSpec spec;
    spec.name = "web";
    spec.rootfs = "/srv/tree";
    spec.command = {"/bin/sh", "-c", "echo \"x\""};
    const std::string head = "# Made by 'ctrctl run --detach'; 'ctrctl rm web' removes it.\nstart = \"manual\"\n"
                             "rootfs = \"/srv/tree\"\ncommand = [\"/bin/sh\", \"-c\", \"echo \\\"x\\\"\"]\n";
    CHECK(declaration_of(spec) == head + "restart = \"no\"\n");
    spec.user = "www";
    spec.network = config::Network::host;
    spec.read_only = true;
    spec.terminal = true;
    spec.restart = "always";
    spec.environment = {{"A B", "1"}};
    CHECK(declaration_of(spec) ==
          head + "user = \"www\"\nnetwork = \"host\"\nread-only = true\nterminal = true\nrestart = \"always\"\n"
                 "\n[environment]\n\"A B\" = \"1\"\n");
}

TEST_CASE("an image in the background is declared by its name, with another entrypoint if there is one",
          "[ctrctl][run]") {
    config::UnitSpec spec;
    spec.name = "web";
    spec.image = "host.example/web:1";
    const std::string head = "# Made by 'ctrctl run --detach'; 'ctrctl rm web' removes it.\nstart = \"manual\"\n"
                             "image = \"host.example/web:1\"\n";
    CHECK(declaration_of(spec) == head + "restart = \"no\"\n");
    spec.entrypoint.emplace();
    CHECK(declaration_of(spec) == head + "entrypoint = []\nrestart = \"no\"\n");
}
