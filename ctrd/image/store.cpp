#include "ctrd/image/store.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/tree_writer.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cerrno>
#include <ctime>
#include <memory>

namespace ctrd::image {
namespace {

constexpr const char* no_store_hint = "no image is stored yet: 'ctrctl image pull' or 'load' brings one";

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

std::string blob_path(const Digest& digest) {
    return "blobs/" + std::string{to_string(digest.algorithm())} + "/" + digest.hex();
}

std::string partial_path(const Digest& digest) {
    return "partial/" + std::string{to_string(digest.algorithm())} + "-" + digest.hex();
}

Result<UniqueFd> lock_file(int root, int how) {
    // Only to be locked: that works on a read-only file system too, as the root is early at boot.
    UniqueFd file = TRY(open_at(root, "lock", O_RDONLY | O_CREAT | O_NOFOLLOW, 0600));
    while (::flock(file.get(), how) < 0)
        if (errno != EINTR)
            return fail(os_error(errno, "cannot lock the image store"));
    return file;
}

} // namespace

// --- work in progress -------------------------------------------------------------------------------------------

Result<Workspace> Workspace::make(const Store& store) {
    UniqueFd tmp = TRY(open_at(store.root(), "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    for (int attempt = 0; attempt < 100; ++attempt) {
        std::uint64_t random = 0;
        if (::getrandom(&random, sizeof random, 0) != sizeof random)
            return fail(os_error(errno, "cannot make a name"));
        const std::string name = "work-" + std::to_string(random);
        if (::mkdirat(tmp.get(), name.c_str(), 0700) < 0) {
            if (errno == EEXIST)
                continue;
            return fail(os_error(errno, "cannot make a folder in the image store"));
        }
        UniqueFd folder{::openat(tmp.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        // Somebody who tidies up may have come between: then it is gone, or theirs to take away.
        if (folder && ::flock(folder.get(), LOCK_EX | LOCK_NB) == 0 &&
            ::faccessat(tmp.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return Workspace{std::move(tmp), std::move(folder), name};
    }
    return fail(os_error(EBUSY, "cannot make a folder in the image store"));
}

Workspace::~Workspace() {
    if (folder_) [[maybe_unused]]
        auto removed = remove_tree(tmp_.get(), name_);
}

Result<UniqueFd> Workspace::new_file(const std::string& name) const {
    return open_at(folder_.get(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
}

Result<UniqueFd> Workspace::new_folder(const std::string& name) const {
    if (::mkdirat(folder_.get(), name.c_str(), 0755) < 0)
        return fail(os_error(errno, "cannot make a folder in the image store"));
    return open_at(folder_.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

// --- the store --------------------------------------------------------------------------------------------------

Result<Store> Store::open(const std::string& path) {
    TRY_VOID(make_dirs(path, 0700).context("the image store"));
    Store store{TRY(open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY))};
    TRY_VOID(store.make_folders());
    store.tidy();
    return store;
}

Result<Store> Store::open_existing(const std::string& path) {
    auto root = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    if (!root && root.error().code == std::errc::no_such_file_or_directory)
        root.error().hint = no_store_hint;
    return Store{TRY(std::move(root).context("the image store"))};
}

Result<Store> Store::at(UniqueFd root) { return Store{std::move(root)}; }

Result<void> Store::make_folders() const {
    for (const char* name :
         {"blobs", "blobs/sha256", "blobs/sha512", "layers", "verity", "tags", "partial", "tmp", "containers", "pins"})
        if (::mkdirat(root_.get(), name, 0700) < 0 && errno != EEXIST)
            return fail(os_error(errno, "cannot make '" + std::string{name} + "' in the image store"));
    return {};
}

void Store::tidy() const {
    remove_abandoned();
    remove_old_partials();
}

void Store::remove_abandoned() const {
    const UniqueFd tmp{::openat(root_.get(), "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    const std::unique_ptr<DIR, CloseDir> dir{::fdopendir(::fcntl(tmp.get(), F_DUPFD_CLOEXEC, 0))};
    while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
        if (!std::string_view{entry->d_name}.starts_with("work-"))
            continue;
        const UniqueFd folder{::openat(tmp.get(), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        if (folder && ::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) [[maybe_unused]]
            auto removed = remove_tree(tmp.get(), entry->d_name);
    }
}

/// Nobody goes on with a download that was given up a week ago.
void Store::remove_old_partials() const {
    constexpr std::int64_t oldest = 7 * 24 * 3600;
    const UniqueFd folder{::openat(root_.get(), "partial", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    const std::unique_ptr<DIR, CloseDir> dir{::fdopendir(::fcntl(folder.get(), F_DUPFD_CLOEXEC, 0))};
    while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
        struct stat st {};
        if (entry->d_name[0] == '.' || ::fstatat(folder.get(), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            std::time(nullptr) - st.st_mtim.tv_sec < oldest)
            continue;
        const UniqueFd file{::openat(folder.get(), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
        if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0)
            ::unlinkat(folder.get(), entry->d_name, 0);
    }
}

Result<UniqueFd> Store::lock_shared() const { return lock_file(root_.get(), LOCK_SH); }

Result<UniqueFd> Store::lock_exclusive() const { return lock_file(root_.get(), LOCK_EX); }

Result<void> Store::sync() const {
    if (::syncfs(root_.get()) < 0)
        return fail(os_error(errno, "cannot write the image store to its disk"));
    return {};
}

// --- blobs ------------------------------------------------------------------------------------------------------

bool Store::has_blob(const Digest& digest) const {
    return ::faccessat(root_.get(), blob_path(digest).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<UniqueFd> Store::open_blob(const Digest& digest) const {
    auto file = open_at(root_.get(), blob_path(digest), O_RDONLY | O_NOFOLLOW);
    if (!file)
        return fail(os_error(static_cast<int>(file.error().code), "blob '" + digest.text() + "' in the image store"));
    return file;
}

Result<std::string> Store::read_document(const Digest& digest) const {
    const UniqueFd file = TRY(open_blob(digest));
    std::string text = TRY(read_all(file.get(), max_document_size).context("blob '" + digest.text() + "'"));
    if (digest_of(text, digest.algorithm()) != digest)
        return fail(bad_input("blob '" + digest.text() + "' in the image store is damaged",
                              "'ctrctl image verify' says what else is; load or pull the image again"));
    return text;
}

Result<void> Store::keep_blob(const Workspace& workspace, const std::string& file, const Digest& digest) const {
    if (::renameat2(workspace.folder(), file.c_str(), root_.get(), blob_path(digest).c_str(), RENAME_NOREPLACE) == 0 ||
        errno == EEXIST)
        return {};
    return fail(os_error(errno, "cannot store blob '" + digest.text() + "'"));
}

Result<void> Store::drop_blob(const Digest& digest) const {
    if (::unlinkat(root_.get(), blob_path(digest).c_str(), 0) < 0 && errno != ENOENT)
        return fail(os_error(errno, "cannot remove the damaged blob '" + digest.text() + "'"));
    return {};
}

Result<UniqueFd> Store::open_partial(const Digest& digest) const {
    const std::string path = partial_path(digest);
    for (;;) {
        UniqueFd file = TRY(open_at(root_.get(), path, O_RDWR | O_CREAT | O_NOFOLLOW | O_APPEND, 0600));
        while (::flock(file.get(), LOCK_EX) < 0)
            if (errno != EINTR)
                return fail(os_error(errno, "cannot lock '" + path + "' in the image store"));
        struct stat ours {};
        struct stat there {};
        if (::fstat(file.get(), &ours) < 0)
            return fail(os_error(errno, "cannot look at '" + path + "' in the image store"));
        // Whoever had it may have made a blob of it meanwhile.
        if (::fstatat(root_.get(), path.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_ino == there.st_ino)
            return file;
    }
}

Result<void> Store::keep_partial(const Digest& digest) const {
    const std::string path = partial_path(digest);
    if (::renameat2(root_.get(), path.c_str(), root_.get(), blob_path(digest).c_str(), RENAME_NOREPLACE) == 0)
        return {};
    return errno == EEXIST ? drop_partial(digest) : fail(os_error(errno, "cannot store blob '" + digest.text() + "'"));
}

Result<void> Store::drop_partial(const Digest& digest) const {
    if (::unlinkat(root_.get(), partial_path(digest).c_str(), 0) < 0 && errno != ENOENT)
        return fail(os_error(errno, "cannot remove the beginning of blob '" + digest.text() + "'"));
    return {};
}

Result<Digest> Store::write_document(const Workspace& workspace, std::string_view text, Algorithm algorithm) const {
    const Digest digest = digest_of(text, algorithm);
    if (has_blob(digest) && read_document(digest))
        return digest;
    const std::string name = "document-" + digest.hex();
    const UniqueFd file = TRY(workspace.new_file(name));
    TRY_VOID(write_all(file.get(), text));
    if (::fdatasync(file.get()) < 0)
        return fail(os_error(errno, "cannot write blob '" + digest.text() + "'"));
    // A damaged one is replaced.
    if (::renameat(workspace.folder(), name.c_str(), root_.get(), blob_path(digest).c_str()) < 0)
        return fail(os_error(errno, "cannot store blob '" + digest.text() + "'"));
    return digest;
}

// --- layers -----------------------------------------------------------------------------------------------------

std::string Store::layer_name(const Digest& chain) {
    return std::string{to_string(chain.algorithm())} + "-" + chain.hex();
}

bool Store::has_layer(const Digest& chain) const {
    return ::faccessat(root_.get(), ("layers/" + layer_name(chain)).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

LayerForm Store::form_of(const Digest& chain) const {
    struct stat st {};
    const bool is_file =
        ::fstatat(root_.get(), ("layers/" + layer_name(chain)).c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(st.st_mode);
    return is_file ? LayerForm::erofs : LayerForm::folder;
}

Result<UniqueFd> Store::open_layer(const Digest& chain) const {
    const int flags = form_of(chain) == LayerForm::erofs ? O_RDONLY : O_PATH | O_DIRECTORY;
    auto layer = open_at(root_.get(), "layers/" + layer_name(chain), flags | O_NOFOLLOW);
    if (!layer)
        return fail(os_error(static_cast<int>(layer.error().code), "layer '" + chain.text() + "' in the image store"));
    return layer;
}

Result<void> Store::keep_layer(const Workspace& workspace, const std::string& folder, const Digest& chain) const {
    const std::string path = "layers/" + layer_name(chain);
    if (::renameat2(workspace.folder(), folder.c_str(), root_.get(), path.c_str(), RENAME_NOREPLACE) == 0 ||
        errno == EEXIST)
        return {};
    return fail(os_error(errno, "cannot store layer '" + chain.text() + "'"));
}

Result<void> Store::exchange_layer(const Workspace& workspace, const std::string& folder, const Digest& chain) const {
    const std::string path = "layers/" + layer_name(chain);
    if (::renameat2(workspace.folder(), folder.c_str(), root_.get(), path.c_str(), RENAME_EXCHANGE) == 0)
        return {};
    return fail(os_error(errno, "cannot replace layer '" + chain.text() + "'"));
}

Result<std::optional<UniqueFd>> Store::open_record(const Digest& chain) const {
    auto file = open_at(root_.get(), "verity/" + layer_name(chain), O_RDONLY | O_NOFOLLOW);
    if (!file && file.error().code == std::errc::no_such_file_or_directory)
        return std::optional<UniqueFd>{};
    return std::optional{TRY(std::move(file).context("what was measured of layer '" + chain.text() + "'"))};
}

Result<void> Store::keep_record(const Workspace& workspace, const std::string& file, const Digest& chain) const {
    // One that is there has been left by somebody who was killed before its layer came, or says the same.
    if (::renameat(workspace.folder(), file.c_str(), root_.get(), ("verity/" + layer_name(chain)).c_str()) == 0)
        return {};
    return fail(os_error(errno, "cannot store what was measured of layer '" + chain.text() + "'"));
}

Result<void> Store::drop_record(const Digest& chain) const {
    if (::unlinkat(root_.get(), ("verity/" + layer_name(chain)).c_str(), 0) < 0 && errno != ENOENT)
        return fail(os_error(errno, "cannot remove what was measured of layer '" + chain.text() + "'"));
    return {};
}

Result<Image> Store::load(const Digest& digest) const {
    const std::string text = TRY(read_document(digest));
    Document document = TRY(parse_document(text).context("manifest '" + digest.text() + "'"));
    auto* manifest = std::get_if<Manifest>(&document);
    if (manifest == nullptr)
        return fail(bad_input("'" + digest.text() + "' is an index, not an image"));
    const std::string config_text = TRY(read_document(manifest->config.digest));
    Image image{.descriptor = {manifest->media_type, digest, text.size()},
                .manifest = std::move(*manifest),
                .config = TRY(parse_config(config_text).context("config of '" + digest.text() + "'"))};
    image.chain = chain_ids(image.config.diff_ids);
    if (image.chain.size() != image.manifest.layers.size())
        return fail(bad_input("the manifest '" + digest.text() + "' and its config have different numbers of layers"));
    for (const Digest& layer : image.chain)
        if (!has_layer(layer))
            return fail(Error{std::errc::no_such_file_or_directory, "layer '" + layer.text() + "' is not in the store",
                              "load or pull the image again"});
    return image;
}

} // namespace ctrd::image
