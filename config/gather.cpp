// What a container's config takes from its rootfs and bundle. Both are hostile.
#include "config/bundle.hpp"
#include "config/config.hpp"
#include "config/files.hpp"
#include "config/syntax.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"
#include "ctrd/oci/parse.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

namespace ctrd::config {
namespace {

constexpr std::size_t database_limit = 1U << 20;

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

class Gatherer {
public:
    explicit Gatherer(const UnitSpec& spec) : spec_{spec} {}

    Outcome<Facts> gather() {
        std::string rootfs = spec_.rootfs.value_or("");
        if (spec_.bundle)
            rootfs = read_bundle_config();
        if (!rootfs.empty())
            read_users(rootfs);
        for (std::size_t i = 0; i < spec_.mounts.size(); ++i)
            if (spec_.mounts[i].type == MountType::bind && !exists(spec_.mounts[i].source))
                complain(fmt::format("mount.{}.source", i), fmt::format("'{}' does not exist", spec_.mounts[i].source),
                         "make it, or name another folder or file");
        if (is_profile_file(spec_))
            read_profile();
        if (!problems_.empty())
            return refuse(std::move(problems_));
        return std::move(facts_);
    }

private:
    void complain(const std::string& key, std::string message, std::string hint = {}) {
        problems_.push_back({origin_of(spec_, key), std::move(message), std::move(hint)});
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

    void read_profile() {
        auto text = read_file(*spec_.seccomp, database_limit);
        if (text)
            facts_.seccomp_profile = *std::move(text);
        else
            complain("seccomp", text.error().message, text.error().hint);
    }

    const UnitSpec& spec_;
    Facts facts_;
    Diagnostics problems_;
};

} // namespace

Outcome<Facts> gather(const UnitSpec& spec) { return Gatherer{spec}.gather(); }

std::vector<std::string> missing_files(const UnitSpec& spec) {
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
    for (const auto& mount : spec.mounts)
        if (mount.type == MountType::bind)
            want(mount.source, exists(mount.source));
    if (is_profile_file(spec))
        want(*spec.seccomp, exists(*spec.seccomp));
    return missing;
}

} // namespace ctrd::config
