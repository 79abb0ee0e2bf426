#include "ctrd/image/gc.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/tree_writer.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>

namespace ctrd::image {
namespace {

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

Result<std::vector<std::string>> names_in(int root, const std::string& path) {
    std::vector<std::string> names;
    const int folder = ::openat(root, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, CloseDir> dir{folder < 0 ? nullptr : ::fdopendir(folder)};
    if (!dir)
        return errno == ENOENT ? Result<std::vector<std::string>>{names}
                               : fail(os_error(errno, "cannot list '" + path + "'"));
    while (const dirent* entry = ::readdir(dir.get()))
        if (entry->d_name[0] != '.')
            names.emplace_back(entry->d_name);
    return names;
}

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

Result<Reached> reach_all(const Store& store, const std::set<Digest>& in_use) {
    Reached reached;
    const auto tags = TRY(store.tags());
    for (const Tag& tag : tags) {
        TRY_VOID(reach(store, tag.manifest, reached).context("'" + printable(tag.name) + "'"));
        if (tag.index)
            TRY_VOID(reach(store, *tag.index, reached).context("'" + printable(tag.name) + "'"));
    }
    for (const Digest& digest : in_use)
        TRY_VOID(reach(store, digest, reached));
    return reached;
}

/// A layer loses its name first, so that a half removed one is never taken for a layer.
Result<void> remove_layer(const Store& store, const Workspace& workspace, const std::string& name) {
    if (::renameat(store.root(), ("layers/" + name).c_str(), workspace.folder(), name.c_str()) < 0)
        return fail(os_error(errno, "cannot remove layer '" + printable(name) + "'"));
    return remove_tree(workspace.folder(), name);
}

std::uint64_t size_at(int root, const std::string& path) {
    struct stat st {};
    return ::fstatat(root, path.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 ? static_cast<std::uint64_t>(st.st_size) : 0;
}

Result<void> verify_blob(const Store& store, const Descriptor& descriptor) {
    const UniqueFd file = TRY(store.open_blob(descriptor.digest));
    Hasher hasher{descriptor.digest.algorithm()};
    std::string buffer(1U << 17, '\0');
    std::uint64_t size = 0;
    for (;;) {
        const ssize_t n = ::read(file.get(), buffer.data(), buffer.size());
        if (n < 0 && errno != EINTR)
            return fail(os_error(errno, "cannot read it"));
        if (n == 0)
            break;
        hasher.update({buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))});
        size += static_cast<std::uint64_t>(std::max<ssize_t>(n, 0));
    }
    if (size != descriptor.size || hasher.finish() != descriptor.digest)
        return fail(bad_input("its content is not what its digest says"));
    return {};
}

} // namespace

Result<std::set<Digest>> images_in_use(const std::string& run_folder) {
    std::set<Digest> used;
    const UniqueFd root{::open(run_folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!root)
        return errno == ENOENT ? Result<std::set<Digest>>{used}
                               : fail(os_error(errno, "cannot open '" + run_folder + "'"));
    std::vector<std::string> paths;
    const auto compiled = TRY(names_in(root.get(), "compiled"));
    for (const std::string& name : compiled)
        paths.push_back(run_folder + "/compiled/" + name + "/image");
    const auto running = TRY(names_in(root.get(), "run"));
    for (const std::string& name : running)
        if (name.ends_with(".image"))
            paths.push_back(run_folder + "/run/" + name);
    for (const std::string& path : paths) {
        auto text = read_file(path, 256);
        if (!text && text.error().code == std::errc::no_such_file_or_directory)
            continue; // no image's, or gone meanwhile
        const std::string whole = TRY(std::move(text));
        used.insert(TRY(Digest::parse(whole).context("'" + path + "'")));
    }
    return used;
}

Result<Removed> prune(const Store& store, const std::set<Digest>& in_use, bool dry_run) {
    const UniqueFd lock = TRY(store.lock_exclusive());
    // A damaged document hides what it leads to: then nothing may go.
    auto reached_or = reach_all(store, in_use);
    if (!reached_or) {
        Error error = std::move(reached_or).context("nothing is removed").error();
        error.hint = "'ctrctl image verify' says what is damaged; load or pull it again, or remove its name";
        return fail(std::move(error));
    }
    const Reached reached = *std::move(reached_or);
    const Workspace workspace = TRY(Workspace::make(store));
    Removed removed;
    for (const std::string algorithm : {"sha256", "sha512"}) {
        const auto names = TRY(names_in(store.root(), "blobs/" + algorithm));
        for (const std::string& hex : names) {
            const auto digest = Digest::parse(algorithm + ":" + hex);
            if (digest && reached.blobs.contains(*digest))
                continue;
            const std::string path = "blobs/" + algorithm + "/" + hex;
            removed.bytes += size_at(store.root(), path);
            if (digest)
                removed.blobs.push_back(*digest);
            if (!dry_run && ::unlinkat(store.root(), path.c_str(), 0) < 0)
                return fail(os_error(errno, "cannot remove blob '" + printable(hex) + "'"));
        }
    }
    // Nobody is fetching: whoever does holds the lock that we have.
    for (const std::string& name : TRY(names_in(store.root(), "partial"))) {
        const std::string path = "partial/" + name;
        removed.bytes += size_at(store.root(), path);
        if (!dry_run && ::unlinkat(store.root(), path.c_str(), 0) < 0)
            return fail(os_error(errno, "cannot remove '" + printable(path) + "'"));
    }
    const auto layers = TRY(names_in(store.root(), "layers"));
    for (const std::string& name : layers) {
        if (reached.layers.contains(name))
            continue;
        if (!dry_run)
            TRY_VOID(remove_layer(store, workspace, name));
        removed.layers.push_back(name);
    }
    return removed;
}

Result<std::vector<Problem>> verify(const Store& store) {
    const UniqueFd lock = TRY(store.lock_shared());
    std::vector<Problem> problems;
    std::set<Digest> seen;
    const auto check = [&](const std::string& name, const Descriptor& descriptor) {
        if (!seen.insert(descriptor.digest).second)
            return;
        if (auto good = verify_blob(store, descriptor); !good)
            problems.push_back({name, "blob '" + descriptor.digest.text() + "': " + good.error().message});
    };
    const auto tags = TRY(store.tags());
    for (const Tag& tag : tags) {
        const auto image = store.load(tag.manifest);
        if (!image) {
            problems.push_back({tag.name, image.error().message});
            continue;
        }
        check(tag.name, image->descriptor);
        check(tag.name, image->manifest.config);
        for (const Descriptor& layer : image->manifest.layers)
            check(tag.name, layer);
    }
    const auto leftovers = TRY(names_in(store.root(), "tmp"));
    for (const std::string& name : leftovers)
        problems.push_back({"tmp/" + name, "it was left by somebody who was interrupted, or who is at work"});
    return problems;
}

} // namespace ctrd::image
