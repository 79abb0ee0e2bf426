#include "config/files.hpp"
#include "config/image.hpp"
#include "ctrd/image/hasher.hpp"
#include "helpers.hpp"

using namespace ctrd;
using namespace ctrd::config;
using Catch::Contains;
using Json = nlohmann::json;

namespace {

const std::string digest = "sha256:" + std::string(64, 'a');

Facts facts_of(image::Config config) {
    Facts facts;
    facts.passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/false\n";
    facts.group = "web:x:34:\nextra:x:40:web\n";
    facts.image = ImageFacts{
        .digest = *image::Digest::parse(digest), .layers = {"sha256-2", "sha256-1"}, .config = std::move(config)};
    return facts;
}

image::Config nginx() {
    image::Config config;
    config.entrypoint = {"/entry"};
    config.command = {"nginx", "-g", "daemon off;"};
    config.environment = {{"PATH", "/opt/bin:/bin"}, {"A", "1"}, {"A", "2"}};
    config.user = "web";
    config.working_directory = "/srv";
    config.stop_signal = "SIGQUIT";
    config.exposed_ports = {"80/tcp", "443/udp"};
    return config;
}

const std::string plain = "image = \"host.example/web:1\"\n";

Json made(const std::string& more, const image::Config& config = nginx()) {
    return oci_of(plain + more, facts_of(config));
}

std::string refused(const std::string& more, const image::Config& config) {
    const auto compiled = compile(spec_of(plain + more), facts_of(config));
    return compiled ? std::string{} : to_text(compiled.error());
}

bool has(const Json& list, const std::string& value) {
    return std::find(list.begin(), list.end(), value) != list.end();
}

} // namespace

TEST_CASE("an image says what runs, as whom, where and with which environment", "[config][image]") {
    const Json process = made("")["process"];
    CHECK(process["args"] == Json{"/entry", "nginx", "-g", "daemon off;"});
    CHECK(process["cwd"] == "/srv");
    CHECK(process["user"]["uid"] == 33);
    CHECK(process["user"]["gid"] == 34);
    CHECK(process["user"]["additionalGids"] == Json{40});
    CHECK(has(process["env"], "PATH=/opt/bin:/bin"));
    CHECK(has(process["env"], "A=2"));
    CHECK_FALSE(has(process["env"], "A=1"));
    CHECK(has(process["env"], "HOME=/srv"));
    CHECK(has(process["env"], "container=ctrd"));
}

TEST_CASE("a declared command takes the place of Cmd, a declared entrypoint that of both", "[config][image]") {
    CHECK(made("command = [\"x\"]\n")["process"]["args"] == Json{"/entry", "x"});
    CHECK(made("entrypoint = [\"/mine\"]\n")["process"]["args"] == Json{"/mine"});
    CHECK(made("entrypoint = [\"/mine\"]\ncommand = [\"x\"]\n")["process"]["args"] == Json{"/mine", "x"});
    CHECK(made("entrypoint = []\ncommand = [\"x\"]\n")["process"]["args"] == Json{"x"});
}

TEST_CASE("what a container writes to its image may be bounded", "[config][image]") {
    CHECK_FALSE(made("")["ctrd"]["image"].contains("disk_max"));
    CHECK(made("disk-max = \"10G\"\nprivate-users = \"pick\"\n")["ctrd"]["image"]["disk_max"] == std::uint64_t{10}
                                                                                                     << 30);
    CHECK_THAT(problems_of(plain + "disk-max = \"10G\"\n"), Contains("'disk-max' needs 'private-users'"));
    CHECK_THAT(problems_of(plain + "disk-max = \"10G\"\nvolatile = \"overlay\"\n"),
               Contains("does not go with 'volatile'"));
    CHECK_THAT(problems_of(plain + "disk-max = \"10G\"\nread-only = true\n"), Contains("does not go with 'read-only'"));
    CHECK_THAT(problems_of(plain + "disk-max = \"0\"\n"), Contains("'0' is no size"));
    CHECK_THAT(problems_of(declaration("disk-max = \"10G\"\n")), Contains("'disk-max' goes with 'image' only"));
}

TEST_CASE("layers that are files take loop devices, for which the unit has the right", "[config][image]") {
    const auto unit_of = [](bool mounts_files) {
        Facts facts = facts_of(nginx());
        facts.image->mounts_files = mounts_files;
        return compile(spec_of(plain), facts)->files.front().text;
    };
    CHECK_THAT(unit_of(true), Contains("DeviceAllow=/dev/loop-control rw\nDeviceAllow=block-7 r\n"));
    CHECK_THAT(unit_of(false), !Contains("DeviceAllow"));
}

TEST_CASE("what is declared wins over the image", "[config][image]") {
    const Json config = made("user = \"0\"\nworking-directory = \"/tmp\"\nstop-signal = \"SIGINT\"\n"
                             "[environment]\nA = \"mine\"\n");
    CHECK(config["process"]["user"]["uid"] == 0);
    CHECK(config["process"]["cwd"] == "/tmp");
    CHECK(has(config["process"]["env"], "A=mine"));
    CHECK(config["ctrd"]["stop_signal"] == "SIGINT");
}

TEST_CASE("the image's stop signal and only TCP port are defaults", "[config][image]") {
    const std::string socket = "[[socket]]\nlisten = \"8080\"\n";
    const Json own = made(socket)["ctrd"];
    CHECK(own["stop_signal"] == "SIGQUIT");
    CHECK(own["sockets"][0]["port"] == 80);
    CHECK(made(socket + "port = 81\n")["ctrd"]["sockets"][0]["port"] == 81);
    image::Config two = nginx();
    two.exposed_ports = {"80/tcp", "81"};
    CHECK(made(socket, two)["ctrd"]["sockets"][0]["port"] == 8080);
}

TEST_CASE("the compiled config names the exact image and its layers, and so does the unit", "[config][image]") {
    const auto compiled = compile_text(plain, facts_of(nginx()));
    const Json image = Json::parse(compiled.config_json)["ctrd"]["image"];
    CHECK(image == Json{{"name", "host.example/web:1"}, {"digest", digest}, {"layers", {"sha256-2", "sha256-1"}}});
    CHECK(compiled.image_note == digest + "\nhost.example/web:1\n");
    const auto unit = file_of(compiled, "ctr@web.service.d/10-ctrd.conf");
    CHECK_THAT(unit, Contains("\nLogExtraFields=\"CTRD_IMAGE=host.example/web:1@" + digest + "\"\n"));
    CHECK_THAT(unit, Contains("\nEnvironment=\"CTRD_IMAGE=host.example/web:1@" + digest + "\"\n"));
    CHECK_THAT(unit, Contains("\nRequiresMountsFor=\"/var/lib/ctrd\"\n"));
    CHECK_THAT(unit, Contains("\nKillSignal=SIGQUIT\n"));
}

TEST_CASE("what is written is kept, or not, as declared", "[config][image]") {
    CHECK_FALSE(made("")["ctrd"]["image"].contains("volatile"));
    CHECK(made("volatile = \"overlay\"\n")["ctrd"]["image"]["volatile"] == true);
    CHECK(made("read-only = true\n")["ctrd"]["image"]["volatile"] == true);
    const Json state = made("volatile = \"state\"\n");
    CHECK(state["root"]["readonly"] == true);
    CHECK(std::any_of(state["mounts"].begin(), state["mounts"].end(),
                      [](const Json& m) { return m["destination"] == "/var" && m["type"] == "tmpfs"; }));
}

TEST_CASE("mistakes about images are shown where they are", "[config][image]") {
    CHECK_THAT(problems_of("image = \"UPPER\"\n"),
               Contains("web.toml:1:9: 'image': 'UPPER' is not the name of an image"));
    CHECK_THAT(problems_of("image = \"a\"\nrootfs = \"/srv/a\"\ncommand = [\"x\"]\n"),
               Contains("'rootfs' and 'image' are both given"));
    CHECK_THAT(problems_of("image = \"a\"\nvolatile = \"yes\"\n"),
               Contains("web.toml:2:12: 'volatile' can't be 'yes'"));
    CHECK_THAT(problems_of(declaration("entrypoint = [\"x\"]\n")), Contains("'entrypoint' goes with 'image' only"));
    CHECK_THAT(problems_of(declaration("volatile = \"overlay\"\n")), Contains("'volatile' goes with 'image' only"));
    CHECK_THAT(problems_of("image = \"a\"\nentrypoint = [\"\"]\n"), Contains("'entrypoint' is an empty string"));
    CHECK(problems_of("image = \"" + digest + "\"\n").empty());
    CHECK(problems_of("image = \"a.example:5000/b/c:1@" + digest + "\"\n").empty());
}

TEST_CASE("a hostile config of an image is refused with its place in the file", "[config][image]") {
    image::Config config = nginx();
    config.entrypoint.clear();
    config.command.clear();
    CHECK_THAT(refused("", config), Contains("web.toml:1:9: image 'host.example/web:1': it does not say what to run"));
    config = nginx();
    config.user = "no\nbody";
    CHECK_THAT(refused("", config), Contains("image 'host.example/web:1': its user: "));
    CHECK_THAT(refused("", config), !Contains("no\nbody"));
    config.user = "nobody";
    CHECK_THAT(refused("", config), Contains("no user 'nobody'"));
    CHECK(refused("user = \"0\"\n", config).empty());
    config = nginx();
    config.working_directory = "/../../etc";
    CHECK_THAT(refused("", config), Contains("its working directory: "));
    config = nginx();
    config.stop_signal = "SIGNONE";
    CHECK_THAT(refused("", config), Contains("its stop signal: "));
    config = nginx();
    config.entrypoint = {""};
    CHECK_THAT(refused("", config), Contains("an empty string"));
    config = nginx();
    config.environment = {{"A", std::string{"\xff\xfe"}}};
    CHECK_THAT(refused("", config), Contains("not valid UTF-8"));
}

TEST_CASE("an image that runs a systemd gets what a systemd needs", "[config][image]") {
    image::Config config = nginx();
    config.entrypoint = {"/sbin/init"};
    config.command.clear();
    config.stop_signal.clear();
    const auto compiled = compile_text(plain, facts_of(config));
    const Json own = Json::parse(compiled.config_json)["ctrd"];
    CHECK(own["stop_signal"] == "SIGRTMIN+3");
    CHECK(own["systemd"] == true);
    CHECK(own["machine_shell"] == false);
    CHECK_THAT(file_of(compiled, "ctr@web.service.d/10-ctrd.conf"), Contains("\nTimeoutStopSec=90s\n"));
}

TEST_CASE("an image that is not there is named, with the way to get it", "[config][image]") {
    const TemporaryFolder folder;
    const auto facts = gather(spec_of(plain), {.store = folder / "store"});
    REQUIRE_FALSE(facts.has_value());
    CHECK_THAT(to_text(facts.error()), Contains("web.toml:1:9: image 'host.example/web:1' is not stored"));
    CHECK_THAT(to_text(facts.error()), Contains("ctrctl image pull host.example/web:1"));
    CHECK(missing_files(spec_of(plain), folder / "store") == std::vector<std::string>{"host.example/web:1"});
}

namespace {

/// An image of two layers, in which /etc/passwd is a link that leads to the lower one.
std::string stored_image(const image::Store& store) {
    const auto make_layer = [&](const image::Digest& chain) {
        const auto workspace = image::Workspace::make(store);
        REQUIRE(workspace->new_folder("tree").has_value());
        REQUIRE(store.keep_layer(*workspace, "tree", chain).has_value());
    };
    const std::vector<image::Digest> diff_ids{image::digest_of("one"), image::digest_of("two")};
    for (const auto& chain : image::chain_ids(diff_ids))
        make_layer(chain);
    const auto workspace = image::Workspace::make(store);
    const auto config = store.write_document(
        *workspace,
        R"({"architecture":"amd64","os":"linux","config":{"Cmd":["/bin/x"],"User":"web","StopSignal":"SIGQUIT"},)"
        R"("rootfs":{"type":"layers","diff_ids":[")" +
            diff_ids[0].text() + R"(",")" + diff_ids[1].text() + R"("]}})");
    image::Manifest manifest{
        .media_type = std::string{image::media::oci_manifest},
        .config = {std::string{image::media::oci_config}, *config, store.read_document(*config)->size()}};
    for (const auto& diff_id : diff_ids)
        manifest.layers.push_back({std::string{image::media::oci_layer}, diff_id, 1});
    const auto digest_of_manifest = store.write_document(*workspace, image::to_json(manifest));
    REQUIRE(store.set_tag(*workspace, {.name = "host.example/web:1", .manifest = *digest_of_manifest}).has_value());
    return digest_of_manifest->text();
}

} // namespace

TEST_CASE("the users of an image are read through its layers, and no link leads out of them", "[config][image]") {
    const TemporaryFolder folder;
    const auto store = image::Store::open(folder / "store");
    REQUIRE(store.has_value());
    const std::string found = stored_image(*store);
    const auto chain = image::chain_ids({image::digest_of("one"), image::digest_of("two")});
    const auto lower = "store/layers/" + image::Store::layer_name(chain[0]);
    const auto upper = "store/layers/" + image::Store::layer_name(chain[1]);
    folder.write(lower + "/lib/passwd", "web:x:7:8::/:\n");
    folder.write(lower + "/etc/group", "");
    std::filesystem::create_directories(folder / (upper + "/etc"));
    std::filesystem::create_symlink("../../../lib/passwd", folder / (upper + "/etc/passwd"));
    const auto facts = gather(spec_of(plain), {.store = folder / "store"});
    INFO((facts ? std::string{} : to_text(facts.error())));
    REQUIRE(facts.has_value());
    CHECK(facts->passwd == "web:x:7:8::/:\n");
    CHECK(facts->image->digest.text() == found);
    CHECK(facts->image->layers ==
          std::vector<std::string>{image::Store::layer_name(chain[1]), image::Store::layer_name(chain[0])});
    CHECK(missing_files(spec_of(plain), folder / "store").empty());
    const auto compiled = compile(spec_of(plain), *facts);
    REQUIRE(compiled.has_value());
    CHECK(Json::parse(compiled->config_json)["process"]["user"]["uid"] == 7);
    std::filesystem::remove(folder / (upper + "/etc/passwd"));
    std::filesystem::create_directory(folder / (upper + "/etc/passwd"));
    CHECK_FALSE(gather(spec_of(plain), {.store = folder / "store"}).has_value());
}

TEST_CASE("a unit that was made before its image keeps its text, and ctr-run sends the image's signal",
          "[config][image]") {
    const TemporaryFolder folder;
    folder.write("etc/web.toml", plain);
    const SearchDirs dirs{{folder / "etc"}};
    const OutputDirs out{folder / "units", folder / "compiled", folder / "store"};
    CHECK(generate(dirs, out).empty());
    const auto unit = content(folder / "units/ctr@web.service.d/10-ctrd.conf");
    CHECK_THAT(unit, Contains("--compile web"));
    CHECK_THAT(unit, Contains("\nLogExtraFields=\"CTRD_IMAGE=host.example/web:1\"\n"));
    CHECK_FALSE(compile_deferred("web", dirs, out).has_value());

    const auto store = image::Store::open(folder / "store");
    REQUIRE(store.has_value());
    stored_image(*store);
    const auto upper =
        image::Store::layer_name(image::chain_ids({image::digest_of("one"), image::digest_of("two")})[1]);
    folder.write("store/layers/" + upper + "/etc/passwd", "web:x:7:8::/:\n");
    const auto late = compile_deferred("web", dirs, out);
    INFO((late ? std::string{} : to_text(late.error())));
    REQUIRE(late.has_value());
    const auto note = content(folder / "compiled/web/image");
    CHECK_THAT(note, Contains("\nhost.example/web:1\n"));
    const Json own = Json::parse(content(folder / "compiled/web/config.json"))["ctrd"];
    CHECK(own["stop_signal"] == "SIGQUIT");
    CHECK(own["sends_stop_signal"] == true);

    // The next generator has all of it, and its units say so.
    CHECK(generate(dirs, out).empty());
    CHECK_THAT(content(folder / "units/ctr@web.service.d/10-ctrd.conf"),
               Contains("CTRD_IMAGE=host.example/web:1@sha256:"));
    CHECK_FALSE(Json::parse(content(folder / "compiled/web/config.json"))["ctrd"].contains("sends_stop_signal"));
    CHECK_FALSE(compare(*compile(spec_of(plain), {.store = folder / "store"}), out).image);
}
