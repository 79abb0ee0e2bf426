#include "tools/ctr-run/image.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/paths.hpp"
#include "ctrd/image/project_quota.hpp"
#include "ctrd/runtime/overlay.hpp"
#include "ctrd/runtime/user_range.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace ctrd::run {
namespace {

std::string run_note(const std::string& key) {
    return std::string{image::default_run_folder} + "/run/" + key + ".image";
}

bool names_image(const std::string& name) {
    const std::string note = std::string{image::default_run_folder} + "/compiled/" + name + "/image";
    return ::access(note.c_str(), F_OK) == 0;
}

/// Shared: who removes images, for which the names alone go, has to wait for us.
Result<UniqueFd> lock_store() {
    UniqueFd file = TRY(open_at(AT_FDCWD, std::string{image::default_store} + "/lock", O_RDONLY | O_NOFOLLOW));
    while (::flock(file.get(), LOCK_SH) < 0)
        if (errno != EINTR)
            return fail(os_error(errno, "cannot lock the image store"));
    return file;
}

std::string said(const DeclaredImage& image) { return "image '" + image.name + "' (" + image.digest + ")"; }

Result<void> check_there(const DeclaredImage& image) {
    for (const std::string& layer : image.layers)
        if (const std::string path = std::string{image::default_store} + "/layers/" + layer;
            ::access(path.c_str(), F_OK) < 0)
            return fail(os_error(errno, said(image) + ": '" + path + "'",
                                 "'ctrctl image pull' or 'ctrctl image load' brings it back"));
    return {};
}

/// Of all that the container has written, to other images too. A bound that is no longer declared goes.
Result<void> bound_changes(const std::string& name, const DeclaredImage& image) {
    const std::string path = std::string{image::default_store} + "/containers/" + name;
    const UniqueFd folder = TRY(open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    return (image.disk_max > 0 ? image::set_bound(folder.get(), name, image.disk_max) : image::lift_bound(folder.get()))
        .context("'" + path + "'");
}

/// The place for what the container writes is made with it.
Result<plan::Stack> make_stack(const std::string& name, const DeclaredImage& image) {
    plan::Stack stack{.store = image::default_store, .layers = image.layers};
    if (!image.forgets)
        stack.changes = stack.store + "/" + image::changes_folder(name, image.layers.front());
    TRY_VOID(runtime::make_changes(stack).context(said(image)));
    if (!image.forgets)
        TRY_VOID(bound_changes(name, image).context("disk-max"));
    return stack;
}

/// Of the host's: where its links lead to. Empty: it has no such file.
std::string path_of(const Declared& declared, const DeclaredName& name) {
    if (!name.source.starts_with('/'))
        return declared.folder + "/" + name.source;
    std::error_code error;
    const auto real = std::filesystem::canonical(name.source, error);
    return error ? std::string{} : real.string();
}

} // namespace

Result<Declared> load_and_use(const std::string& name, const std::string& key) {
    // Before the config is read: what it names could be another image's by then, and this one removed.
    UniqueFd lock;
    if (names_image(name))
        lock = TRY(lock_store());
    Declared declared = TRY(load_declared(name));
    if (!declared.image)
        return declared;
    if (!lock) {
        lock = TRY(lock_store());
        declared = TRY(load_declared(name));
    }
    if (!declared.image)
        return declared;
    TRY_VOID(check_there(*declared.image));
    TRY_VOID(write_atomic(run_note(key), image::use_text(declared.image->digest, declared.image->name), 0600));
    return declared;
}

Result<plan::HostFacts> rootfs_facts(Declared& declared) {
    plan::HostFacts host{.bundle = declared.folder, .maps_rootfs = declared.private_users};
    if (declared.private_users && declared.spec.uid_mappings.empty()) {
        const std::uint32_t first = TRY(runtime::pick_user_range(declared.name));
        declared.spec.uid_mappings = declared.spec.gid_mappings =
            runtime::id_mappings(first, runtime::ids_of_a_container);
    }
    if (declared.image)
        host.stack = TRY(make_stack(declared.name, *declared.image));
    for (const DeclaredName& name : declared.names)
        if (std::string path = path_of(declared, name); !path.empty())
            host.offers.push_back({std::move(path), name.place, false});
    return host;
}

Result<void> release_image(const std::string& key) {
    if (::unlink(run_note(key).c_str()) == 0 || errno == ENOENT)
        return {};
    return fail(os_error(errno, "cannot remove '" + run_note(key) + "'"));
}

} // namespace ctrd::run
