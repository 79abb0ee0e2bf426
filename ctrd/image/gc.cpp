#include "ctrd/image/gc.hpp"

#include "ctrd/image/folder.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/project_quota.hpp"
#include "ctrd/image/tree_writer.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace ctrd::image {
namespace {

/// What is reached from the names and from what is in use.
struct Reached {
    std::set<Digest> blobs{};
    std::set<std::string> layers{};
};

Result<void> reach(const Store& store, const Digest& digest, Reached& reached) {
    if (!store.has_blob(digest))
        return {}; // it leads nowhere, and nothing is lost by it
    const std::string text = TRY(store.read_document(digest));
    const Document document = TRY(parse_document(text).context("'" + digest.text() + "'"));
    reached.blobs.insert(digest);
    const auto* manifest = std::get_if<Manifest>(&document);
    if (manifest == nullptr)
        return {};
    reached.blobs.insert(manifest->config.digest);
    for (const Descriptor& layer : manifest->layers)
        reached.blobs.insert(layer.digest);
    const std::string config_text = TRY(store.read_document(manifest->config.digest));
    const Config config = TRY(parse_config(config_text).context("'" + manifest->config.digest.text() + "'"));
    for (const Digest& chain : chain_ids(config.diff_ids))
        reached.layers.insert(Store::layer_name(chain));
    return {};
}

Result<Reached> reach_all(const Store& store, const Kept& kept) {
    Reached reached;
    const auto tags = TRY(store.tags());
    for (const Tag& tag : tags) {
        if (kept.unwanted_names.contains(tag.name))
            continue;
        TRY_VOID(reach(store, tag.manifest, reached).context("'" + printable(tag.name) + "'"));
        if (tag.index)
            TRY_VOID(reach(store, *tag.index, reached).context("'" + printable(tag.name) + "'"));
    }
    for (const Use& use : kept.uses) {
        // Which layers those are that it runs from can't be told without it.
        if (use.running && !store.has_blob(use.digest))
            return fail(
                os_error(ENOENT, "container '" + printable(use.container) + "' runs from '" + use.digest.text() + "'"));
        TRY_VOID(reach(store, use.digest, reached).context("container '" + printable(use.container) + "'"));
    }
    return reached;
}

/// Takes the names of what goes away; what had them is in the workspace then.
class Sweep {
public:
    Sweep(const Store& store, const Workspace& workspace, bool dry_run)
        : store_{store}, workspace_{workspace}, dry_run_{dry_run} {}

    /// First: a name is never without its image.
    Result<void> names(const Kept& kept) {
        for (const std::string& name : kept.unwanted_names) {
            if (!dry_run_)
                TRY(store_.remove_tag(name));
            removed_.names.push_back(name);
        }
        return {};
    }

    Result<void> blobs(const Reached& reached) {
        for (const std::string algorithm : {"sha256", "sha512"}) {
            const auto names = TRY(names_in(store_.root(), "blobs/" + algorithm));
            for (const std::string& hex : names) {
                const auto digest = Digest::parse(algorithm + ":" + hex);
                if (digest && reached.blobs.contains(*digest))
                    continue;
                const std::string path = "blobs/" + algorithm + "/" + hex;
                removed_.bytes += size_at(store_.root(), path);
                if (digest)
                    removed_.blobs.push_back(*digest);
                TRY_VOID(take(path));
            }
        }
        return {};
    }

    /// Nobody is fetching: whoever does holds the lock that we have.
    Result<void> beginnings() {
        const auto names = TRY(names_in(store_.root(), "partial"));
        for (const std::string& name : names) {
            removed_.bytes += size_at(store_.root(), "partial/" + name);
            TRY_VOID(take("partial/" + name));
        }
        return {};
    }

    Result<void> layers(const Reached& reached) {
        const auto names = TRY(names_in(store_.root(), "layers"));
        for (const std::string& name : names)
            if (!reached.layers.contains(name)) {
                removed_.layers.push_back(name);
                TRY_VOID(take("layers/" + name));
            }
        const auto records = TRY(names_in(store_.root(), "verity"));
        for (const std::string& name : records)
            if (!reached.layers.contains(name))
                TRY_VOID(take("verity/" + name));
        return {};
    }

    /// Of a container of which nobody knows any more, and to images that a known one has no more.
    Result<void> changes(const Kept& kept) {
        const auto names = TRY(names_in(store_.root(), "containers"));
        for (const std::string& container : names) {
            const auto wanted = TRY(top_layers(kept, container));
            if (!wanted)
                continue;
            const auto layers = TRY(names_in(store_.root(), "containers/" + container));
            for (const std::string& layer : layers)
                if (!wanted->contains(layer)) {
                    removed_.changes.push_back(container + "/" + layer);
                    TRY_VOID(take(changes_folder(container, layer)));
                }
            if (!dry_run_ && wanted->empty())
                lift_bound_of(container);
            if (!dry_run_ && wanted->empty()) // or else it stays for what is left in it
                ::unlinkat(store_.root(), ("containers/" + container).c_str(), AT_REMOVEDIR);
        }
        return {};
    }

    /// The ids that containers were given.
    Result<void> users(const Kept& kept) {
        const auto names = TRY(names_in(store_.root(), "users"));
        for (const std::string& name : names)
            if (!kept.containers.contains(name) &&
                std::ranges::none_of(kept.uses, [&](const Use& use) { return use.container == name; }))
                TRY_VOID(take("users/" + name));
        return {};
    }

    Removed removed() && { return std::move(removed_); }

private:
    static std::uint64_t size_at(int root, const std::string& path) {
        struct stat st {};
        return ::fstatat(root, path.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 ? static_cast<std::uint64_t>(st.st_size)
                                                                            : 0;
    }

    /// A limit of a project that nothing belongs to would be in the file system for ever.
    void lift_bound_of(const std::string& container) const {
        const UniqueFd folder{::openat(store_.root(), ("containers/" + container).c_str(),
                                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        if (folder) [[maybe_unused]]
            auto lifted = lift_bound(folder.get());
    }

    /// Whose changes stay; nothing: all of them do, since what the container uses is not known.
    Result<std::optional<std::set<std::string>>> top_layers(const Kept& kept, const std::string& container) const {
        std::set<std::string> layers;
        for (const Use& use : kept.uses) {
            if (use.container != container)
                continue;
            const auto image = store_.load(use.digest);
            if (!image)
                return std::optional<std::set<std::string>>{};
            if (!image->chain.empty())
                layers.insert(Store::layer_name(image->chain.back()));
        }
        if (layers.empty() && kept.containers.contains(container))
            return std::optional<std::set<std::string>>{};
        return std::optional{std::move(layers)};
    }

    Result<void> take(const std::string& path) {
        const std::string name = "gone-" + std::to_string(taken_++);
        if (!dry_run_ && ::renameat(store_.root(), path.c_str(), workspace_.folder(), name.c_str()) < 0)
            return fail(os_error(errno, "cannot remove '" + printable(path) + "' of the image store"));
        return {};
    }

    const Store& store_;
    const Workspace& workspace_;
    bool dry_run_;
    std::size_t taken_{0};
    Removed removed_{};
};

Result<void> verify_blob(const Store& store, const Descriptor& descriptor, bool quick) {
    const UniqueFd file = TRY(store.open_blob(descriptor.digest));
    struct stat st {};
    if (::fstat(file.get(), &st) < 0)
        return fail(os_error(errno, "cannot look at it"));
    if (static_cast<std::uint64_t>(st.st_size) != descriptor.size)
        return fail(bad_input("its content is not what its digest says"));
    if (quick)
        return {};
    Hasher hasher{descriptor.digest.algorithm()};
    std::string buffer(1U << 17, '\0');
    for (;;) {
        const ssize_t n = ::read(file.get(), buffer.data(), buffer.size());
        if (n < 0 && errno != EINTR)
            return fail(os_error(errno, "cannot read it"));
        if (n == 0)
            break;
        hasher.update({buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))});
    }
    if (hasher.finish() != descriptor.digest)
        return fail(bad_input("its content is not what its digest says"));
    return {};
}

bool is_locked(int root, const std::string& path) {
    const UniqueFd folder{::openat(root, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    return folder && ::flock(folder.get(), LOCK_SH | LOCK_NB) < 0;
}

} // namespace

Result<Removed> prune(const Store& store, const std::function<Result<Kept>()>& find_kept, bool dry_run) {
    const Workspace workspace = TRY(Workspace::make(store));
    UniqueFd lock = TRY(store.lock_exclusive());
    const Kept kept = TRY(find_kept());
    // A damaged document hides what it leads to: then nothing may go.
    auto reached = reach_all(store, kept);
    if (!reached) {
        Error error = std::move(reached).context("nothing is removed").error();
        error.hint = "'ctrctl image verify' says what is damaged; load or pull it again, or remove its name";
        return fail(std::move(error));
    }
    Sweep sweep{store, workspace, dry_run};
    TRY_VOID(sweep.names(kept));
    TRY_VOID(sweep.blobs(*reached));
    TRY_VOID(sweep.beginnings());
    TRY_VOID(sweep.layers(*reached));
    TRY_VOID(sweep.changes(kept));
    TRY_VOID(sweep.users(kept));
    lock = UniqueFd{};
    // What can't be taken apart now is taken away with the workspace, or by the next who opens the store.
    const auto gone = TRY(names_in(workspace.folder(), "."));
    for (const std::string& name : gone)
        TRY_VOID(remove_tree(workspace.folder(), name));
    return std::move(sweep).removed();
}

Result<std::vector<Problem>> verify(const Store& store, bool quick) {
    const UniqueFd lock = TRY(store.lock_shared());
    std::vector<Problem> problems;
    std::set<Digest> seen;
    const auto check = [&](const std::string& name, const Descriptor& descriptor) {
        if (!seen.insert(descriptor.digest).second)
            return;
        if (auto good = verify_blob(store, descriptor, quick); !good)
            problems.push_back(
                {name, "blob '" + descriptor.digest.text() + "': " + good.error().message, descriptor.digest});
    };
    const auto tags = TRY(store.tags());
    for (const Tag& tag : tags) {
        if (tag.index && store.has_blob(*tag.index) && seen.insert(*tag.index).second)
            if (const auto good = store.read_document(*tag.index); !good)
                problems.push_back({tag.name, good.error().message, *tag.index});
        const auto image = store.load(tag.manifest);
        if (!image) {
            problems.push_back({tag.name, image.error().message, tag.manifest});
            continue;
        }
        check(tag.name, image->descriptor);
        check(tag.name, image->manifest.config);
        for (const Descriptor& layer : image->manifest.layers)
            check(tag.name, layer);
    }
    store.tidy(); // who was killed a moment before this began may have died since
    const auto leftovers = TRY(names_in(store.root(), "tmp"));
    for (const std::string& name : leftovers)
        if (!is_locked(store.root(), "tmp/" + name)) // else somebody is at work, or a 'ctrctl run' writes there
            problems.push_back({"tmp/" + name, "it was left by somebody who was interrupted"});
    return problems;
}

} // namespace ctrd::image
