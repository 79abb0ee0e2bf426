#include "tools/ctrctl/image_storage.hpp"

#include "config/document.hpp"
#include "config/syntax.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/image/json.hpp"
#include "tools/ctrctl/image_worker.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace ctrd::ctl {
namespace {

/// As containers-storage.conf(5) has it.
Result<std::string> podman_folder() {
    constexpr const char* usual = "/var/lib/containers/storage";
    const char* named = std::getenv("CONTAINERS_STORAGE_CONF");
    const std::string file = named != nullptr && *named != '\0' ? named : "/etc/containers/storage.conf";
    const auto text = read_file(file);
    if (!text && text.error().code == std::errc::no_such_file_or_directory)
        return usual;
    if (!text)
        return fail(text.error());
    const auto document = config::parse_toml(*text, file);
    if (!document)
        return fail(bad_input(config::to_text(document.error().front()), "or say containers-storage:[FOLDER]NAME"));
    const config::Member* storage = document->find("storage");
    const config::Member* root = storage != nullptr ? storage->value.find("graphroot") : nullptr;
    return root != nullptr && !root->value.string.empty() ? root->value.string : std::string{usual};
}

/// As dockerd(8) has it.
Result<std::string> docker_folder() {
    constexpr const char* usual = "/var/lib/docker";
    constexpr const char* file = "/etc/docker/daemon.json";
    const auto text = read_file(file);
    if (!text && text.error().code == std::errc::no_such_file_or_directory)
        return usual;
    if (!text)
        return fail(text.error());
    const auto json = image::parse_json(*text, text->size()).context(std::string{"'"} + file + "'");
    if (!json)
        return fail(bad_input(json.error().message, "or say docker-storage:[FOLDER]NAME"));
    const oci::Reader in = TRY(oci::Reader::root(*json));
    const std::string root = TRY(in.string("data-root"));
    return root.empty() ? std::string{usual} : root;
}

struct Transport {
    std::string_view prefix;
    const char* verb; // of the image worker's
    Result<std::string> (*folder)();
    const char* lists;
};
constexpr Transport transports[]{
    {"containers-storage:", "storage", podman_folder, "'podman images' lists them"},
    {"docker-storage:", "docker-storage", docker_folder, "'docker images' lists them"},
};

const Transport* transport_of(const std::string& text) {
    const auto* const found =
        std::ranges::find_if(transports, [&](const Transport& one) { return text.starts_with(one.prefix); });
    return found == std::end(transports) ? nullptr : found;
}

struct StorageName {
    const Transport* transport;
    std::string folder{}; // "": the usual one
    std::string name{};
};

Result<StorageName> parse(const std::string& text) {
    const Transport* const transport = transport_of(text);
    StorageName result{transport, {}, text.substr(transport->prefix.size())};
    if (result.name.starts_with('[')) {
        const std::size_t end = result.name.find(']');
        const Error odd = bad_input("'" + printable(text) + "' does not say which storage",
                                    std::string{transport->prefix} + "[FOLDER]NAME, where FOLDER is an absolute path");
        if (end == std::string::npos)
            return fail(odd);
        result.folder = result.name.substr(1, end - 1);
        result.name.erase(0, end + 1);
        if (!config::check_absolute_path(result.folder))
            return fail(odd);
    }
    if (result.name.empty() || result.name != printable(result.name))
        return fail(bad_input("'" + printable(text) + "' does not say which image", transport->lists));
    return result;
}

} // namespace

bool is_in_storage(const std::string& text) { return transport_of(text) != nullptr; }

Result<void> check_storage_name(const std::string& text) {
    TRY(parse(text));
    return {};
}

Result<image::Tag> pull_from_storage(const image::Store& store, const std::string& text, std::uint64_t max_layer_size,
                                     const image::ProgressSink& progress) {
    const StorageName name = TRY(parse(text));
    const std::string path = name.folder.empty() ? TRY(name.transport->folder()) : name.folder;
    const UniqueFd folder = TRY(open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY));
    imaging::Request request;
    request.verb = name.transport->verb;
    request.load.wanted = name.name;
    request.load.source = std::string{name.transport->prefix} + path;
    request.load.platform = image::host_platform();
    if (max_layer_size > 0)
        request.load.options.limits.bytes = max_layer_size;
    const UniqueFd lock = TRY(store.lock_shared());
    const int given[] = {folder.get()};
    const auto tags = TRY(run_image_worker(request, store, given, progress));
    if (tags.size() != 1)
        return fail(bad_input("the image worker's answer is not valid"));
    return tags.front();
}

} // namespace ctrd::ctl
