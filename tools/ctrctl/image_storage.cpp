#include "tools/ctrctl/image_storage.hpp"

#include "config/document.hpp"
#include "config/syntax.hpp"
#include "ctrd/base/file.hpp"
#include "tools/ctrctl/image_worker.hpp"

#include <fcntl.h>

#include <cstdlib>

namespace ctrd::ctl {
namespace {

constexpr std::string_view transport = "containers-storage:";
constexpr const char* usual_folder = "/var/lib/containers/storage";

/// As containers-storage.conf(5) has it.
Result<std::string> configured_folder() {
    const char* named = std::getenv("CONTAINERS_STORAGE_CONF");
    const std::string file = named != nullptr && *named != '\0' ? named : "/etc/containers/storage.conf";
    const auto text = read_file(file);
    if (!text && text.error().code == std::errc::no_such_file_or_directory)
        return usual_folder;
    if (!text)
        return fail(text.error());
    const auto document = config::parse_toml(*text, file);
    if (!document)
        return fail(bad_input(config::to_text(document.error().front()), "or say containers-storage:[FOLDER]NAME"));
    const config::Member* storage = document->find("storage");
    const config::Member* root = storage != nullptr ? storage->value.find("graphroot") : nullptr;
    return root != nullptr && !root->value.string.empty() ? root->value.string : usual_folder;
}

} // namespace

bool is_in_storage(const std::string& text) { return text.starts_with(transport); }

Result<StorageName> parse_storage_name(const std::string& text) {
    StorageName result{{}, text.substr(transport.size())};
    if (result.name.starts_with('[')) {
        const std::size_t end = result.name.find(']');
        const Error odd = bad_input("'" + printable(text) + "' does not say which storage",
                                    "containers-storage:[FOLDER]NAME, where FOLDER is an absolute path");
        if (end == std::string::npos)
            return fail(odd);
        result.folder = result.name.substr(1, end - 1);
        result.name.erase(0, end + 1);
        if (!config::check_absolute_path(result.folder))
            return fail(odd);
    }
    if (result.name.empty() || result.name != printable(result.name))
        return fail(bad_input("'" + printable(text) + "' does not say which image", "'podman images' lists them"));
    return result;
}

Result<image::Tag> pull_from_storage(const image::Store& store, const std::string& text, std::uint64_t max_layer_size,
                                     const image::ProgressSink& progress) {
    const StorageName name = TRY(parse_storage_name(text));
    const std::string path = name.folder.empty() ? TRY(configured_folder()) : name.folder;
    const UniqueFd folder = TRY(open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY));
    imaging::Request request;
    request.verb = "storage";
    request.load.wanted = name.name;
    request.load.source = std::string{transport} + path;
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
