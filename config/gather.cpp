// What a container's config takes from its rootfs and bundle. Both are hostile.
#include "config/bundle.hpp"
#include "config/config.hpp"
#include "config/files.hpp"
#include "config/syntax.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"
#include "ctrd/image/project_quota.hpp"
#include "ctrd/image/stacked.hpp"
#include "ctrd/image/use.hpp"
#include "ctrd/oci/parse.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <ranges>
#include <span>

namespace ctrd::config {
namespace {

constexpr std::size_t database_limit = 1U << 20;
constexpr const char* soft_reboot_unit = "/usr/lib/systemd/system/systemd-soft-reboot.service";

bool exists(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0;
}

bool has_entries(const std::string& path) {
    const auto entries = list_folder(path);
    return entries && !entries->empty();
}

bool is_profile_file(const UnitSpec& spec) { return spec.seccomp && spec.seccomp->starts_with('/'); }

/// A file of the rootfs; empty if the rootfs has none.
Result<std::string> read_database(int root, const std::string& path) {
    auto text = rooted::read_file(root, path, database_limit);
    if (!text && text.error().code == std::errc::no_such_file_or_directory)
        return std::string{};
    return text;
}

/// A file of stacked layers; empty if they have none.
Result<std::string> read_layered(std::span<const image::LayerNode> layers, const std::string& path) {
    const std::string where = TRY(image::resolve_in_layers(layers, path));
    const image::Found found = TRY(image::find_in_layers(layers, where));
    if (where.empty() || found.kind == image::Found::Kind::nothing)
        return std::string{};
    if (found.kind != image::Found::Kind::other || !S_ISREG(found.node->stat().st_mode))
        return fail(bad_input("it is not a file"));
    return found.node->read(database_limit);
}

Result<image::Store> open_images(const std::string& path, const std::string& name) {
    auto store = image::Store::open_existing(path);
    if (!store && store.error().code == std::errc::no_such_file_or_directory)
        return fail(no_such_image(name));
    return store;
}

class Gatherer {
public:
    Gatherer(const UnitSpec& spec, const Sources& sources) : spec_{spec}, sources_{sources} {}

    Outcome<Facts> gather() {
        std::string rootfs = spec_.rootfs.value_or("");
        if (spec_.bundle)
            rootfs = read_bundle_config();
        if (!rootfs.empty())
            read_users(rootfs);
        if (spec_.image)
            if (auto read = read_image(*spec_.image); !read)
                complain("image", read.error().message, read.error().hint);
        for (std::size_t i = 0; i < spec_.mounts.size(); ++i)
            if (spec_.mounts[i].type == MountType::bind && !exists(spec_.mounts[i].source))
                complain(fmt::format("mount.{}.source", i), fmt::format("'{}' does not exist", spec_.mounts[i].source),
                         "make it, or name another folder or file");
        if (is_profile_file(spec_))
            read_profile();
        check_disk_max();
        if (spec_.survives_soft_reboot && !exists(soft_reboot_unit))
            complain("survive-soft-reboot", "this machine's systemd knows no soft-reboot that spares units",
                     "leave it out: that needs systemd 255");
        if (!problems_.empty())
            return refuse(std::move(problems_));
        return std::move(facts_);
    }

private:
    void complain(const std::string& key, std::string message, std::string hint = {}) {
        problems_.push_back({origin_of(spec_, key), std::move(message), std::move(hint)});
    }

    void check_disk_max() {
        if (!spec_.disk_max)
            return;
        const auto store = open_at(AT_FDCWD, sources_.store, O_RDONLY | O_DIRECTORY);
        if (store && !image::has_project_quotas(store->get()))
            complain("disk-max",
                     fmt::format("the file system of '{}' does not count what a container writes", sources_.store),
                     image::how_to_have_project_quotas);
    }

    /// Returns where the rootfs is.
    std::string read_bundle_config() {
        const auto path = clean_path(*spec_.bundle) + "/config.json";
        auto text = read_file(path, oci::max_config_size);
        if (!text) {
            complain("bundle", text.error().message, "a bundle is a folder with a config.json and a root file system");
            return {};
        }
        facts_.bundle_config = *std::move(text);
        auto rootfs = bundle_rootfs(*spec_.bundle, facts_.bundle_config);
        if (rootfs)
            return *rootfs;
        problems_.push_back({{path, 0, 0}, rootfs.error().message, rootfs.error().hint});
        return {};
    }

    void read_users(const std::string& rootfs) {
        const std::string key = spec_.rootfs ? "rootfs" : "bundle";
        const auto root = open_at(AT_FDCWD, rootfs, O_PATH | O_DIRECTORY);
        if (!root)
            return complain(key, root.error().message, "make the folder and put the container's files into it");
        auto passwd = read_database(root->get(), "/etc/passwd");
        auto group = read_database(root->get(), "/etc/group");
        for (auto* one : {&passwd, &group})
            if (!*one)
                complain(key, one->error().message, one->error().hint);
        if (passwd && group) {
            facts_.passwd = *std::move(passwd);
            facts_.group = *std::move(group);
        }
    }

    Result<void> read_image(const std::string& name) {
        const image::Store store = TRY(open_images(sources_.store, name));
        const auto digest =
            sources_.image ? Result<image::Digest>{*sources_.image} : image::image_of(store, spec_.name, name);
        if (!digest && digest.error().code == std::errc::no_such_file_or_directory)
            return fail(no_such_image(name));
        if (!digest)
            return fail(digest.error());
        image::Image image = TRY(store.load(*digest).context(said(name)));
        if (image.chain.empty())
            return fail(bad_input(said(name) + " has no layers: there is nothing to run in it"));
        std::vector<image::LayerNode> layers;
        ImageFacts facts{.digest = *digest};
        for (const image::Digest& chain : image.chain | std::views::reverse) {
            UniqueFd layer = TRY(store.open_layer(chain));
            facts.mounts_files = facts.mounts_files || store.form_of(chain) == image::LayerForm::erofs;
            layers.push_back(TRY(image::LayerNode::root(std::move(layer)).context(said(name))));
            facts.layers.push_back(image::Store::layer_name(chain));
        }
        facts_.passwd = TRY(read_layered(layers, "etc/passwd").context(said(name) + ": '/etc/passwd'"));
        facts_.group = TRY(read_layered(layers, "etc/group").context(said(name) + ": '/etc/group'"));
        facts.config = std::move(image.config);
        facts_.image = std::move(facts);
        return {};
    }

    static std::string said(const std::string& name) { return "image '" + name + "'"; }

    void read_profile() {
        auto text = read_file(*spec_.seccomp, database_limit);
        if (text)
            facts_.seccomp_profile = *std::move(text);
        else
            complain("seccomp", text.error().message, text.error().hint);
    }

    const UnitSpec& spec_;
    const Sources& sources_;
    Facts facts_;
    Diagnostics problems_;
};

} // namespace

Outcome<Facts> gather(const UnitSpec& spec, const Sources& sources) { return Gatherer{spec, sources}.gather(); }

Error no_such_image(const std::string& text) {
    return {
        std::errc::no_such_file_or_directory, "image '" + printable(text) + "' is not stored",
        "'ctrctl image pull " + printable(text) +
            "' fetches it, 'ctrctl image load FILE' takes it from an archive; 'ctrctl image list' shows what is there"};
}

std::vector<std::string> missing_files(const UnitSpec& spec, const std::string& image_store) {
    std::vector<std::string> missing;
    const auto want = [&](const std::string& path, bool there) {
        if (!there)
            missing.push_back(path);
    };
    if (spec.rootfs)
        want(*spec.rootfs, has_entries(*spec.rootfs));
    if (spec.bundle) {
        const auto path = clean_path(*spec.bundle) + "/config.json";
        want(path, exists(path));
        const auto text = read_file(path, oci::max_config_size);
        if (const auto rootfs = text ? bundle_rootfs(*spec.bundle, *text) : Result<std::string>{fail(Error{})}; rootfs)
            want(*rootfs, has_entries(*rootfs));
    }
    if (spec.image) {
        const auto store = image::Store::open_existing(image_store);
        want(*spec.image, store && image::image_of(*store, spec.name, *spec.image));
    }
    for (const auto& mount : spec.mounts)
        if (mount.type == MountType::bind)
            want(mount.source, exists(mount.source));
    if (is_profile_file(spec))
        want(*spec.seccomp, exists(*spec.seccomp));
    return missing;
}

} // namespace ctrd::config
