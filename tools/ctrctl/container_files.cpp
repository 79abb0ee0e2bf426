#include "tools/ctrctl/container_files.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/erofs/mount.hpp"
#include "tools/ctrctl/run_image.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace ctrd::ctl {
namespace {

constexpr int folder_flags = O_PATH | O_DIRECTORY | O_NOFOLLOW;

/// What it runs from counts before what it is declared with.
Outcome<image::Use> use_of(const image::Store& store, const std::string& name) {
    auto uses = image::uses(store);
    if (!uses)
        return refuse(exit_failure, std::move(uses).error());
    std::erase_if(*uses, [&](const image::Use& one) { return one.container != name; });
    if (uses->empty())
        return refuse(exit_no_container, {std::errc::no_such_file_or_directory,
                                          "there is no container '" + printable(name) + "' that is made from an image",
                                          "'ctrctl image list' shows which containers are"});
    const auto running = std::ranges::find(*uses, true, &image::Use::running);
    return running != uses->end() ? *running : uses->front();
}

/// A declared container's changes are the store's; those of a 'ctrctl run' are where it has noted it.
Result<UniqueFd> open_upper(const image::Store& store, const std::string& name, const std::string& top_layer) {
    if (const auto noted = read_file(fleeting_changes_note(name), PATH_MAX))
        return open_at(store.root(), *noted + "/upper", folder_flags);
    return open_at(store.root(), image::changes_folder(name, top_layer) + "/upper", folder_flags);
}

Result<std::vector<UniqueFd>> open_layers(const image::Store& store, const image::Image& image) {
    std::vector<UniqueFd> layers;
    for (auto chain = image.chain.rbegin(); chain != image.chain.rend(); ++chain)
        layers.push_back(TRY(open_layer_root(store, *chain)));
    return layers;
}

Result<UniqueFd> clone_root(std::uint32_t leader) {
    const std::string process = "/proc/" + std::to_string(leader);
    const UniqueFd ours = TRY(open_at(AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY));
    const UniqueFd theirs = TRY(open_at(AT_FDCWD, process + "/ns/mnt", O_RDONLY));
    const UniqueFd root = TRY(open_at(AT_FDCWD, process + "/root", O_PATH | O_DIRECTORY));
    const UniqueFd here = TRY(open_at(AT_FDCWD, ".", O_PATH | O_DIRECTORY));
    // Only mounts of one's own namespace can be cloned. Nothing is looked up while we are in the container's.
    if (::setns(theirs.get(), CLONE_NEWNS) < 0)
        return fail(os_error(errno, "cannot look into its mounts"));
    UniqueFd tree{::open_tree(root.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)};
    const int err = errno;
    // Each change of the namespace leads to its root.
    if (::setns(ours.get(), CLONE_NEWNS) < 0 || ::fchdir(here.get()) < 0)
        return fail(os_error(errno, "cannot come back from its mounts"));
    return tree ? Result<UniqueFd>{std::move(tree)} : fail(os_error(err, "cannot take its root file system"));
}

Result<image::Owners> owners_of(std::uint32_t leader) {
    const std::string process = "/proc/" + std::to_string(leader);
    const std::string uids = TRY(read_file(process + "/uid_map"));
    const std::string gids = TRY(read_file(process + "/gid_map"));
    return image::Owners{TRY(image::parse_id_map(uids)), TRY(image::parse_id_map(gids))};
}

} // namespace

Result<UniqueFd> open_layer_root(const image::Store& store, const image::Digest& chain) {
    UniqueFd layer = TRY(store.open_layer(chain));
    if (store.form_of(chain) == image::LayerForm::erofs)
        layer = TRY(erofs::mount(layer.get()).context("layer '" + chain.text() + "'"));
    return layer;
}

Outcome<ContainerChanges> changes_of(const image::Store& store, const std::string& name) {
    auto use = use_of(store, name);
    if (!use)
        return std::unexpected{std::move(use).error()};
    auto opened = [&]() -> Result<ContainerChanges> {
        const image::Image image = TRY(store.load(use->digest));
        if (image.chain.empty())
            return fail(bad_input("its image has no layers"));
        auto upper = open_upper(store, name, image::Store::layer_name(image.chain.back()));
        if (!upper && upper.error().code == std::errc::no_such_file_or_directory)
            return fail(
                Error{std::errc::no_such_file_or_directory, "nothing of what it writes is kept",
                      "it has not been started yet, or is read-only or volatile; while it runs, 'ctrctl export' "
                      "gives all of its files"});
        return ContainerChanges{*use, TRY(open_layers(store, image)), TRY(std::move(upper))};
    }();
    if (!opened)
        return refuse(exit_failure, std::move(opened).context("container '" + printable(name) + "'").error());
    return std::move(*opened);
}

Outcome<RunningFiles> files_of_running(Client& client, const std::string& name) {
    const auto before = client.details(name);
    if (!before)
        return std::unexpected{before.error()};
    if (before->leader == 0)
        return refuse(exit_failure, {std::errc::no_such_process, "container '" + name + "' does not run",
                                     "its files are together only while it does: ctrctl start " + name});
    auto root = clone_root(before->leader);
    auto owners = owners_of(before->leader);
    if (!root || !owners)
        return refuse(
            exit_failure,
            Result<void>{fail(root ? owners.error() : root.error())}.context("container '" + name + "'").error());
    // A process' number may have become another's, but not while the container has gone on.
    const auto after = client.details(name);
    if (!after || after->leader != before->leader || after->since != before->since)
        return refuse(exit_failure, {std::errc::no_such_process, "container '" + name + "' has ended meanwhile"});
    auto attached = [&]() -> Result<UniqueFd> {
        if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
            return fail(os_error(errno, "cannot make a mount namespace"));
        const std::string in_store = std::string{image::default_store} + "/containers";
        if (::move_mount(root->get(), "", AT_FDCWD, in_store.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0)
            return fail(os_error(errno, "cannot mount its root file system"));
        return open_at(AT_FDCWD, in_store, O_PATH | O_DIRECTORY);
    }();
    if (!attached)
        return refuse(exit_failure, std::move(attached).context("container '" + name + "'").error());
    return RunningFiles{std::move(*attached), std::move(*owners)};
}

} // namespace ctrd::ctl
