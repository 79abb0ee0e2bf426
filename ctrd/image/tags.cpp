// Names of images: store.hpp.
#include "ctrd/base/file.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/json.hpp"
#include "ctrd/image/reference.hpp"
#include "ctrd/image/store.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>

namespace ctrd::image {
namespace {

constexpr std::size_t max_tag_file = 16384;

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

std::string tag_path(const std::string& name) { return "tags/" + digest_of(name).hex() + ".json"; }

Result<Tag> parse_tag(std::string_view text) {
    const Json json = TRY(parse_json(text, max_tag_file));
    const oci::Reader reader = TRY(oci::Reader::root(json));
    const std::string manifest = TRY(reader.required_string("manifest"));
    Tag tag{.manifest = TRY(Digest::parse(manifest))};
    tag.name = TRY(reader.required_string("name"));
    if (const std::string index = TRY(reader.string("index")); !index.empty())
        tag.index = TRY(Digest::parse(index));
    tag.source = TRY(reader.string("source"));
    tag.trust = TRY(reader.string("trust"));
    tag.since = TRY(reader.integer<std::int64_t>("since")).value_or(0);
    return tag;
}

Result<std::optional<Tag>> read_tag(int root, const std::string& path) {
    const UniqueFd file{::openat(root, path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!file && errno == ENOENT)
        return std::optional<Tag>{};
    if (!file)
        return fail(os_error(errno, "cannot open '" + path + "' in the image store"));
    const std::string text = TRY(read_all(file.get(), max_tag_file));
    return std::optional<Tag>{TRY(parse_tag(text).context("'" + path + "' in the image store"))};
}

Error no_such_image(const std::string& text) {
    return {std::errc::no_such_file_or_directory, "no image '" + printable(text) + "' is stored",
            "'ctrctl image list' shows those that are; 'ctrctl image pull' and 'load' bring more"};
}

/// By a digest or the beginning of one; several names may mean the same image.
Result<Tag> find_by_digest(const Store& store, const std::string& text) {
    const std::string hex = text.starts_with("sha256:") || text.starts_with("sha512:") ? text.substr(7) : text;
    std::optional<Tag> found;
    std::set<Digest> different;
    for (Tag& tag : TRY(store.tags()))
        if (tag.manifest.hex().starts_with(hex) || (tag.index && tag.index->hex().starts_with(hex))) {
            different.insert(tag.manifest);
            found = std::move(tag);
        }
    if (different.size() > 1)
        return fail(bad_input("'" + printable(text) + "' is the beginning of several digests", "write more of it"));
    return found ? Result<Tag>{std::move(*found)} : fail(no_such_image(text));
}

bool looks_like_hex(std::string_view text) {
    return text.size() >= 6 &&
           std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

} // namespace

Result<std::vector<Tag>> Store::tags() const {
    std::vector<Tag> result;
    const int folder = ::openat(root_.get(), "tags", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0 && errno == ENOENT)
        return result;
    const std::unique_ptr<DIR, CloseDir> dir{folder < 0 ? nullptr : ::fdopendir(folder)};
    if (!dir)
        return fail(os_error(errno, "cannot list the names in the image store"));
    while (const dirent* entry = ::readdir(dir.get())) {
        if (!std::string_view{entry->d_name}.ends_with(".json"))
            continue;
        // One that is gone meanwhile is gone.
        if (auto tag = TRY(read_tag(root_.get(), "tags/" + std::string{entry->d_name})))
            result.push_back(std::move(*tag));
    }
    std::ranges::sort(result, {}, &Tag::name);
    return result;
}

Result<std::optional<Tag>> Store::find_tag(const std::string& name) const {
    return read_tag(root_.get(), tag_path(name));
}

Result<void> Store::set_tag(const Workspace& workspace, const Tag& tag) const {
    Json json{{"name", tag.name}, {"manifest", tag.manifest.text()}, {"source", tag.source}, {"since", tag.since}};
    if (tag.index)
        json["index"] = tag.index->text();
    if (!tag.trust.empty())
        json["trust"] = tag.trust;
    const std::string file_name = "tag-" + digest_of(tag.name).hex();
    ::unlinkat(workspace.folder(), file_name.c_str(), 0);
    const UniqueFd file = TRY(workspace.new_file(file_name));
    TRY_VOID(write_all(file.get(), json.dump(-1, ' ', false, Json::error_handler_t::replace)));
    // The content that it names is on the disk by now (sync): the name must not get there before its own bytes.
    if (::fdatasync(file.get()) < 0 ||
        ::renameat(workspace.folder(), file_name.c_str(), root_.get(), tag_path(tag.name).c_str()) < 0)
        return fail(os_error(errno, "cannot store the name '" + printable(tag.name) + "'"));
    const UniqueFd folder = TRY(open_at(root_.get(), "tags", O_RDONLY | O_DIRECTORY));
    if (::fsync(folder.get()) < 0)
        return fail(os_error(errno, "cannot store the name '" + printable(tag.name) + "'"));
    return {};
}

Result<bool> Store::remove_tag(const std::string& name) const {
    if (::unlinkat(root_.get(), tag_path(name).c_str(), 0) == 0)
        return true;
    if (errno == ENOENT)
        return false;
    return fail(os_error(errno, "cannot remove the name '" + printable(name) + "'"));
}

Result<std::string> tag_name(const std::string& text) {
    const Reference reference = TRY(parse_reference(text));
    if (reference.digest && reference.tag.empty())
        return reference.text();
    return reference.name() + ":" + (reference.tag.empty() ? "latest" : reference.tag);
}

Result<Tag> find_image(const Store& store, const std::string& text) {
    if (text.starts_with("sha256:") || text.starts_with("sha512:")) {
        TRY(Digest::parse(text));
        return find_by_digest(store, text);
    }
    auto reference = parse_reference(text);
    if (reference) {
        const std::string name = TRY(tag_name(text));
        const auto tag = TRY(store.find_tag(name));
        const auto& pinned = reference->digest;
        if (tag && (!pinned || tag->manifest == *pinned || tag->index == *pinned))
            return *tag;
        // The name may mean something newer by now; the digest still says which image.
        if (pinned) {
            auto found = find_by_digest(store, pinned->text());
            if (found &&
                (found->name.starts_with(reference->name() + ":") || found->name.starts_with(reference->name() + "@")))
                return found;
            return fail(no_such_image(text));
        }
    }
    if (looks_like_hex(text))
        return find_by_digest(store, text);
    return reference ? Result<Tag>{fail(no_such_image(text))} : fail(reference.error());
}

} // namespace ctrd::image
