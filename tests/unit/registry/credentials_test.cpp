#include "ctrd/base/base64.hpp"
#include "ctrd/registry/auth_files.hpp"

#include "ctrd/base/file.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace ctrd;
using namespace ctrd::registry;

namespace {

Reference reference(std::string_view text) { return image::parse_reference(text).value(); }

struct Folder {
    std::string path;
    Folder() {
        char name[] = "/tmp/ctrd-credentials.XXXXXX";
        path = ::mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    void write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
        std::ofstream{path + "/" + name} << text;
        ::chmod((path + "/" + name).c_str(), mode);
    }
};

const std::string files = R"({"auths": {
    "r.example": {"auth": ")" +
                          to_base64("all:one:two") + R"("},
    "r.example/team": {"auth": ")" +
                          to_base64("team:secret") + R"("},
    "https://old.example/v1/": {"auth": ")" +
                          to_base64("old:secret") + R"("},
    "https://index.hub.example/v1/": {"auth": ")" +
                          to_base64("hub:secret") + R"("},
    "t.example": {"auth": "", "identitytoken": "abc"},
    "empty.example": {}
  }, "credHelpers": {"h.example": "ring"}, "HttpHeaders": {"X": "y"}})";

} // namespace

TEST_CASE("base64 goes both ways and takes nothing that is none", "[registry]") {
    for (const std::string& text :
         {std::string{}, std::string{"a"}, std::string{"ab"}, std::string{"abc"}, std::string{"\0\xff\x80", 3}})
        CHECK(from_base64(to_base64(text), "x").value() == text);
    for (const char* text : {"a", "ab=", "====", "a===", "ab=c", "ab c", "ab\n=", "\xc3\xa4"})
        CHECK_FALSE(from_base64(text, "x"));
}

TEST_CASE("the most exact key of an auth.json counts, in whatever spelling", "[registry]") {
    const auto found = [](const char* text) {
        const auto answer = find_in_auth_json(files, reference(text)).value();
        return answer.credentials ? answer.credentials->username + "/" + answer.credentials->password : answer.helper;
    };
    CHECK(found("r.example/a/b:1") == "all/one:two");
    CHECK(found("r.example/team/b") == "team/secret");
    CHECK(found("r.example/teamwork") == "all/one:two");
    CHECK(found("r.example:5000/a") == "");
    CHECK(found("old.example/a") == "old/secret");
    CHECK(found("hub.example/a") == "hub/secret");
    CHECK(found("h.example/a") == "ring");
    CHECK(found("empty.example/a") == "");
    CHECK(find_in_auth_json(files, reference("t.example/a"))->credentials->identity_token == "abc");
    CHECK(find_in_auth_json(R"({"credsStore": "all"})", reference("x.example/a"))->helper == "all");
    CHECK_FALSE(find_in_auth_json("", reference("x.example/a"))->credentials);
}

TEST_CASE("an auth.json that is none is refused, with what is wrong", "[registry]") {
    for (const char* text :
         {"[]", "{", R"({"auths": {"r.example": 5}})", R"({"auths": {"r.example": {"auth": "%%%"}}})",
          R"({"auths": {"r.example": {"auth": "YWJj"}}})", R"({"auths": {"r.example": {"auth": 5}}})",
          R"({"credHelpers": {"r.example": 5}})"}) {
        INFO(text);
        CHECK_FALSE(find_in_auth_json(text, reference("r.example/a")));
    }
}

TEST_CASE("changing an auth.json leaves all else as it was", "[registry]") {
    const auto added = changed_auth_json(files, "new.example", Credentials{"u", "p:q", ""});
    REQUIRE(added);
    CHECK(find_in_auth_json(*added, reference("new.example/a"))->credentials->password == "p:q");
    CHECK(find_in_auth_json(*added, reference("h.example/a"))->helper == "ring");
    CHECK(added->find("HttpHeaders") != std::string::npos);
    const auto removed = changed_auth_json(*added, "old.example", std::nullopt);
    REQUIRE(removed);
    CHECK_FALSE(find_in_auth_json(*removed, reference("old.example/a"))->credentials);
    CHECK_FALSE(changed_auth_json(R"({"auths": []})", "a.example", std::nullopt));
}

TEST_CASE("a log-in is in a file that only its owner reads, and log-out takes it away", "[registry]") {
    const Folder folder;
    const std::string file = folder.path + "/deep/er/auth.json";
    REQUIRE(change_auth_file(file, "r.example", Credentials{"u", "p", ""}));
    struct stat st {};
    REQUIRE(::stat(file.c_str(), &st) == 0);
    CHECK((st.st_mode & 07777) == 0600);
    CHECK(find_credentials({folder.path + "/none", file}, reference("r.example/a"))->value() ==
          Credentials{"u", "p", ""});
    CHECK(forget_credentials(file, "r.example").value());
    CHECK_FALSE(forget_credentials(file, "r.example").value());
    CHECK_FALSE(find_credentials({file}, reference("r.example/a"))->has_value());
    CHECK_FALSE(change_auth_file("relative.json", "r.example", std::nullopt));
}

TEST_CASE("a credential helper gets the key on stdin and a clean environment", "[registry]") {
    const Folder folder;
    const HelperSettings settings{{folder.path}, std::chrono::seconds{20}};
    folder.write("docker-credential-ring", R"(#!/bin/sh
read -r key
[ "$1" = get ] || exit 9
[ "$key" = h.example ] || { echo "credentials not found in native keychain"; exit 1; }
echo "{\"ServerURL\": \"$key\", \"Username\": \"me\", \"Secret\": \"${SECRET_OF_OURS-clean}$(ls /proc/self/fd | wc -l)\"}"
)",
                 0755);
    ::setenv("SECRET_OF_OURS", "leaked", 1);
    const UniqueFd leaked{::open("/dev/null", 0)}; // without CLOEXEC
    const auto answer = ask_helper("ring", "h.example", settings);
    REQUIRE(answer);
    CHECK(answer->value() == Credentials{"me", "clean4", ""}); // 0, 1, 2 and the folder that ls reads
    CHECK_FALSE(ask_helper("ring", "other.example", settings)->has_value());
    folder.write("auth.json", R"({"credHelpers": {"h.example": "ring"}})");
    CHECK(find_credentials({folder.path + "/auth.json"}, reference("h.example/a"), settings)->value().username == "me");
}

TEST_CASE("a helper that is not root's, has no good name, talks too much or never ends is refused", "[registry]") {
    const Folder folder;
    const HelperSettings settings{{folder.path}, std::chrono::milliseconds{500}};
    folder.write("docker-credential-open", "#!/bin/sh\n", 0777);
    folder.write("docker-credential-loud", "#!/bin/sh\nexec cat /dev/zero\n", 0755);
    folder.write("docker-credential-slow", "#!/bin/sh\nsleep 1000 & wait\n", 0755);
    folder.write("docker-credential-bad", "#!/bin/sh\necho '{\"Username\": 5}'\n", 0755);
    for (const char* name : {"open", "loud", "slow", "bad", "none", "", "../x", "a/b", ".hidden", "a b", "-x"}) {
        INFO(name);
        CHECK_FALSE(ask_helper(name, "h.example", settings));
    }
}
