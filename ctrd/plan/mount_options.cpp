#include "ctrd/plan/mount_options.hpp"

#include <linux/mount.h>

#include <algorithm>
#include <array>

namespace ctrd::plan {
namespace {

struct Word {
    std::string_view name;
    std::uint64_t set;
    std::uint64_t clear;
};

// The access-time words share one field: whoever sets one must clear the field first.
constexpr std::array words{
    Word{"ro", MOUNT_ATTR_RDONLY, 0},
    Word{"rw", 0, MOUNT_ATTR_RDONLY},
    Word{"nosuid", MOUNT_ATTR_NOSUID, 0},
    Word{"suid", 0, MOUNT_ATTR_NOSUID},
    Word{"nodev", MOUNT_ATTR_NODEV, 0},
    Word{"dev", 0, MOUNT_ATTR_NODEV},
    Word{"noexec", MOUNT_ATTR_NOEXEC, 0},
    Word{"exec", 0, MOUNT_ATTR_NOEXEC},
    Word{"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    Word{"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    Word{"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    Word{"diratime", 0, MOUNT_ATTR_NODIRATIME},
    Word{"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    Word{"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    Word{"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    Word{"norelatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    Word{"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    Word{"nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
};

struct Propagation {
    std::string_view name;
    std::uint64_t flags;
};
constexpr std::uint64_t ms_rec = 16384; // <sys/mount.h> and <linux/mount.h> can't be included together
constexpr std::array propagations{
    Propagation{"private", 1UL << 18},    Propagation{"rprivate", (1UL << 18) | ms_rec},
    Propagation{"slave", 1UL << 19},      Propagation{"rslave", (1UL << 19) | ms_rec},
    Propagation{"shared", 1UL << 20},     Propagation{"rshared", (1UL << 20) | ms_rec},
    Propagation{"unbindable", 1UL << 17}, Propagation{"runbindable", (1UL << 17) | ms_rec},
};

void add(std::uint64_t& all_set, std::uint64_t& all_clear, const Word& word) {
    all_set = (all_set & ~word.clear) | word.set;
    all_clear = (all_clear & ~word.set) | word.clear;
}

/// "ro" for the mount, "rro" for all mounts below it too.
bool add_attribute(MountAttributes& attributes, std::string_view option) {
    if (const auto it = std::ranges::find(words, option, &Word::name); it != words.end()) {
        add(attributes.set, attributes.clear, *it);
        return true;
    }
    if (!option.starts_with('r'))
        return false;
    const auto it = std::ranges::find(words, option.substr(1), &Word::name);
    if (it == words.end())
        return false;
    add(attributes.set_recursive, attributes.clear_recursive, *it);
    return true;
}

/// Of mount(8), and without a meaning for the kernel by now: messages, i_version, mandatory locks. The others are
/// defaults.
constexpr std::array<std::string_view, 9> without_effect{"defaults", "async",    "nomand",     "mand",      "silent",
                                                         "loud",     "iversion", "noiversion", "nolazytime"};
/// Of a whole file system: a bind mount can't change them, and mount(8) passes them over there. The last two are what a
/// tmpfs was to have, in a configuration whose mount became a bind mount.
constexpr std::array<std::string_view, 5> of_file_system{"sync", "dirsync", "lazytime", "mode", "size"};

Result<void> refuse_unsupported(const oci::Mount& mount, std::string_view option) {
    for (const std::string_view word : {"idmap", "ridmap", "copy-symlink", "dest-nofollow", "src-nofollow"})
        if (option == word || (option.starts_with(word) && option.substr(word.size()).starts_with('=')))
            return fail(Error{std::errc::not_supported,
                              "mount '" + mount.destination + "': option '" + std::string{option} +
                                  "' is not one of the runtime spec, and ctrd does not have it",
                              word.ends_with("idmap") ? "give the mount uidMappings and gidMappings, and the option "
                                                        "without a value"
                                                      : "remove it from config.json"});
    return {};
}

void add_data(MountOptions& result, std::string_view option) {
    const auto equals = option.find('=');
    if (equals == std::string_view::npos)
        result.data.push_back({std::string{option}, "", true});
    else
        result.data.push_back({std::string{option.substr(0, equals)}, std::string{option.substr(equals + 1)}, false});
}

} // namespace

std::uint64_t propagation_flag(std::string_view word) {
    const auto it = std::ranges::find(propagations, word, &Propagation::name);
    return it == propagations.end() ? 0 : it->flags;
}

Result<MountOptions> parse_mount_options(const oci::Mount& mount) {
    MountOptions result;
    for (const std::string& option : mount.options) {
        if (option == "bind")
            result.bind = true;
        else if (option == "rbind")
            result.bind = result.recursive_bind = true;
        else if (const std::uint64_t flags = propagation_flag(option); flags != 0)
            result.attributes.propagation.push_back(flags);
        else if (option == "idmap" || option == "ridmap")
            result.id_map = option == "ridmap" ? MountOptions::IdMapping::recursive : MountOptions::IdMapping::one;
        else if (option == "tmpcopyup")
            result.copy_up = true;
        else if (option == "remount")
            result.remount = true;
        else if (option.empty() || std::ranges::find(without_effect, option) != without_effect.end())
            continue;
        else if (add_attribute(result.attributes, option))
            continue;
        else {
            TRY_VOID(refuse_unsupported(mount, option));
            add_data(result, option);
        }
    }
    if (result.bind)
        std::erase_if(result.data, [](const FsOption& option) {
            return std::ranges::find(of_file_system, option.key) != of_file_system.end();
        });
    return result;
}

} // namespace ctrd::plan
