#include "ctrd/image/use.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/image/folder.hpp"
#include "ctrd/image/json.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace ctrd::image {
namespace {

constexpr std::size_t max_note = 4096;

std::string pin_path(const std::string& container) { return "pins/" + container + ".json"; }

Result<Pin> parse_pin(std::string_view text, const std::string& container) {
    const Json json = TRY(parse_json(text, max_note));
    const oci::Reader reader = TRY(oci::Reader::root(json));
    const std::string digest = TRY(reader.required_string("digest"));
    Pin pin{.digest = TRY(Digest::parse(digest))};
    pin.container = container;
    pin.image = TRY(reader.required_string("image"));
    pin.since = TRY(reader.integer<std::int64_t>("since")).value_or(0);
    return pin;
}

/// Gone meanwhile is gone.
Result<void> add_note(std::vector<Use>& uses, const std::string& container, const std::string& path, bool running) {
    const auto text = read_file(path, max_note);
    if (!text &&
        (text.error().code == std::errc::no_such_file_or_directory || text.error().code == std::errc::not_a_directory))
        return {};
    const std::string whole = TRY(Result<std::string>{text});
    UseNote note = TRY(parse_use(whole).context("'" + path + "'"));
    uses.push_back({container, std::move(note.image), std::move(note.digest), running});
    return {};
}

} // namespace

Result<std::optional<Pin>> find_pin(const Store& store, const std::string& container) {
    const UniqueFd file{::openat(store.root(), pin_path(container).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!file && errno == ENOENT)
        return std::optional<Pin>{};
    const std::string where = "'" + pin_path(container) + "' in the image store";
    if (!file)
        return fail(os_error(errno, "cannot open " + where));
    const std::string text = TRY(read_all(file.get(), max_note));
    return std::optional<Pin>{TRY(parse_pin(text, container).context(where))};
}

Result<std::vector<Pin>> pins(const Store& store) {
    std::vector<Pin> result;
    const auto names = TRY(names_in(store.root(), "pins"));
    for (const std::string& name : names) {
        if (!name.ends_with(".json") || !is_container_name(name.substr(0, name.size() - 5)))
            continue;
        if (auto pin = TRY(find_pin(store, name.substr(0, name.size() - 5))))
            result.push_back(std::move(*pin));
    }
    return result;
}

Result<void> set_pin(const Store& store, const Pin& pin) {
    if (::mkdirat(store.root(), "pins", 0700) < 0 && errno != EEXIST)
        return fail(os_error(errno, "cannot make 'pins' in the image store"));
    const Json json{{"image", pin.image}, {"digest", pin.digest.text()}, {"since", pin.since}};
    const Workspace workspace = TRY(Workspace::make(store));
    const UniqueFd file = TRY(workspace.new_file("pin"));
    TRY_VOID(write_all(file.get(), json.dump(-1, ' ', false, Json::error_handler_t::replace)));
    if (::fdatasync(file.get()) < 0 ||
        ::renameat(workspace.folder(), "pin", store.root(), pin_path(pin.container).c_str()) < 0)
        return fail(os_error(errno, "cannot note in the image store what container '" + pin.container + "' uses"));
    return {};
}

Result<void> remove_pin(const Store& store, const std::string& container) {
    if (::unlinkat(store.root(), pin_path(container).c_str(), 0) == 0 || errno == ENOENT)
        return {};
    return fail(os_error(errno, "cannot remove '" + pin_path(container) + "' in the image store"));
}

Result<Digest> image_of(const Store& store, const std::string& container, const std::string& text) {
    const auto pin = TRY(find_pin(store, container));
    if (pin && pin->image == text && store.has_blob(pin->digest))
        return pin->digest;
    return TRY(find_image(store, text)).manifest;
}

Result<UseNote> parse_use(std::string_view text) {
    const auto end = text.find('\n');
    UseNote note{.digest = TRY(Digest::parse(text.substr(0, end)))};
    if (end != std::string_view::npos)
        note.image = text.substr(end + 1, text.find('\n', end + 1) - end - 1);
    return note;
}

Result<std::vector<Use>> uses(const Store& store, const std::string& run_folder) {
    std::vector<Use> result;
    auto pinned = TRY(pins(store));
    for (Pin& pin : pinned)
        result.push_back({std::move(pin.container), std::move(pin.image), std::move(pin.digest), false});
    const auto compiled = TRY(names_in(AT_FDCWD, run_folder + "/compiled"));
    for (const std::string& name : compiled)
        TRY_VOID(add_note(result, name, run_folder + "/compiled/" + name + "/image", false));
    const auto run = TRY(names_in(AT_FDCWD, run_folder + "/run"));
    for (const std::string& name : run)
        if (name.ends_with(".image"))
            TRY_VOID(add_note(result, name.substr(0, name.size() - 6), run_folder + "/run/" + name, true));
    const auto adhoc = TRY(names_in(AT_FDCWD, run_folder + "/adhoc"));
    for (const std::string& name : adhoc)
        TRY_VOID(add_note(result, name, run_folder + "/adhoc/" + name + "/image", true));
    return result;
}

} // namespace ctrd::image
