#include "tools/ctr-run/declared.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/oci/parse.hpp"

#include <nlohmann/json.hpp>

#include <functional>

namespace ctrd::run {
namespace {

using nlohmann::json;

constexpr const char* compiled_folder = "/run/ctrd/compiled";
constexpr std::size_t largest_config = oci::max_config_size;

Result<std::string> read_config(const std::string& path, const std::string& name) {
    auto text = read_file(path, largest_config);
    if (!text && text.error().code == std::errc::no_such_file_or_directory)
        text.error().hint = "is '" + name + "' declared? 'ctrctl apply' compiles what is";
    return text;
}

/// With the top-level key "ctrd" alone; the rest of the document is only passed over.
Result<json> read_own_part(const std::string& text) {
    const auto keep = [](int depth, json::parse_event_t event, json& parsed) {
        return depth != 1 || event != json::parse_event_t::key || parsed == "ctrd";
    };
    try {
        return json::parse(text, keep);
    } catch (const json::exception& error) {
        return fail(bad_input(error.what()));
    }
}

Deliver delivery_of(const std::string& word) {
    if (word == "adopt")
        return Deliver::adopt;
    if (word == "pass")
        return Deliver::pass;
    if (word == "proxy")
        return Deliver::proxy;
    if (word == "auto")
        return Deliver::automatic;
    if (word == "stdio")
        return Deliver::stdio;
    throw std::invalid_argument("unknown delivery '" + word + "'");
}

DeclaredSocket to_socket(const json& value) {
    DeclaredSocket socket;
    socket.name = value.at("name").get<std::string>();
    socket.listen = value.at("listen").get<std::string>();
    socket.deliver = delivery_of(value.at("deliver").get<std::string>());
    socket.port = value.value("port", std::uint16_t{0});
    if (value.contains("backlog"))
        socket.backlog = value.at("backlog").get<int>();
    socket.path = value.value("path", std::string{});
    socket.of_range = value.value("of_range", false);
    socket.datagram = value.value("type", std::string{"stream"}) == "datagram";
    return socket;
}

DeclaredImage to_image(const json& value) {
    DeclaredImage image;
    image.name = value.at("name").get<std::string>();
    image.digest = value.at("digest").get<std::string>();
    image.layers = value.at("layers").get<std::vector<std::string>>();
    image.forgets = value.value("volatile", false);
    image.disk_max = value.value("disk_max", std::uint64_t{0});
    for (const std::string& layer : image.layers)
        if (layer.empty() || layer.find('/') != std::string::npos)
            throw std::invalid_argument("image: '" + layer + "' is no layer");
    if (image.layers.empty())
        throw std::invalid_argument("image: it has no layers");
    return image;
}

Result<Declared> to_declared(const json& own, const std::string& name) {
    Declared declared;
    std::string stop_signal;
    try {
        declared.name = own.at("name").get<std::string>();
        stop_signal = own.at("stop_signal").get<std::string>();
        declared.ready_timeout = std::chrono::milliseconds{own.at("ready_timeout_ms").get<std::uint32_t>()};
        declared.stop_timeout = std::chrono::milliseconds{own.value("stop_timeout_ms", std::uint64_t{10000})};
        declared.private_users = own.value("private_users", false);
        declared.accepts = own.value("accept", false);
        if (const auto pool = own.find("warm_pool"); pool != own.end()) {
            declared.warm_pool = pool->at("size").get<unsigned>();
            declared.max_connections = pool->at("max_connections").get<unsigned>();
        }
        declared.systemd = own.value("systemd", false);
        declared.notify = own.value("notify", false);
        declared.pipes_output = own.value("output", std::string{"journal"}) == "pipe";
        declared.init = own.value("init", false);
        declared.machine_shell = own.value("machine_shell", false);
        if (const auto link = own.value("link_journal", std::string{}); !link.empty())
            declared.link_journal = link == "host" ? LinkJournal::host : LinkJournal::try_host;
        for (const json& socket : own.at("sockets"))
            declared.sockets.push_back(to_socket(socket));
        declared.sends_stop_signal = own.value("sends_stop_signal", false);
        if (own.contains("image"))
            declared.image = to_image(own.at("image"));
        if (const auto names = own.find("names"); names != own.end())
            for (const auto& [place, source] : names->items())
                declared.names.push_back({place, source.get<std::string>()});
        if (own.contains("standby"))
            declared.waits_created = own.at("standby").at("mode").get<std::string>() == "created";
    } catch (const std::exception& error) { // json's own, and ours
        return fail(bad_input("key 'ctrd': " + std::string{error.what()}));
    }
    if (declared.name != name)
        return fail(bad_input("it is the config of '" + declared.name + "'"));
    declared.stop_signal = TRY(parse_signal(stop_signal).context("ctrd.stop_signal"));
    return declared;
}

Result<Declared> load(const std::string& name, bool whole) {
    TRY_VOID(check_container_name(name));
    const std::string folder = std::string{compiled_folder} + "/" + name;
    const std::string path = folder + "/config.json";
    const std::string text = TRY(read_config(path, name));
    const json document = TRY((whole ? oci::read_document(text) : read_own_part(text)).context("'" + path + "'"));
    const auto own = document.find("ctrd");
    if (own == document.end())
        return fail(bad_input("'" + path + "' has no key 'ctrd'"));
    Declared declared = TRY(to_declared(*own, name).context("'" + path + "'"));
    declared.folder = folder;
    declared.stamp = std::hash<std::string>{}(text);
    if (whole)
        declared.spec = TRY(oci::parse_document(document).context("'" + path + "'"));
    return declared;
}

} // namespace

Result<Declared> load_declared(const std::string& name) { return load(name, true); }

Result<Declared> load_declaration(const std::string& name) { return load(name, false); }

} // namespace ctrd::run
