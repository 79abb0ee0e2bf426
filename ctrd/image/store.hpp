// Where images live: content by its digest, unpacked layers by their chain id, names. Root's alone (0700), since what
// strangers made, setuid programs too, lies in it.
//
//     blobs/sha256/HEX        manifests, configs, layers as they came: what `save` and a push need
//     layers/sha256-HEX/      an unpacked layer, as overlayfs wants it; the layer of a chain is shared by all images
//     layers/sha256-HEX       the same as an EROFS file (erofs_layer.hpp)
//     verity/sha256-HEX       what the kernel has measured of that layer's files (verity.hpp), where that is asked for
//     tags/HEX.json           one for each name: HEX is the hash of the name
//     partial/sha256-HEX      the beginning of a blob that is being fetched, or was; whoever fetches it holds its lock
//     tmp/NAME/               what is being made; whoever makes it holds its lock
//     containers/NAME/LAYER/  upper and work: what container NAME has written to images whose uppermost layer that is
//     pins/NAME.json          which image container NAME uses (use.hpp)
//     lock                    shared by who adds or uses, exclusive for who removes
//
// A thing has its final name only when it is whole and on the disk, so whoever dies leaves nothing but a folder in tmp
// whose lock is free, and the next one to open the store for writing takes that away.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/image/documents.hpp"
#include "ctrd/image/paths.hpp"

namespace ctrd::image {

/// A name, and the image that it names now.
struct Tag {
    std::string name{};
    Digest manifest;               // of one platform
    std::optional<Digest> index{}; // through which it was found
    std::string source{};          // where it came from, for people
    std::string trust{};           // how it was found to be what it says, for people; "": nobody has asked for that
    std::int64_t since{0};         // seconds after 1970
};

/// An image as it is stored.
struct Image {
    Descriptor descriptor; // of the manifest
    Manifest manifest;
    Config config;
    std::vector<Digest> chain{}; // one chain id per layer, the lowest first
};

/// How a layer is stored.
enum class LayerForm {
    folder, // unpacked
    erofs   // one file that is mounted
};

class Store;

/// A folder in tmp, locked: gone with its owner, or with the next one to open the store.
class Workspace {
public:
    static Result<Workspace> make(const Store& store);
    Workspace(Workspace&&) noexcept = default;
    Workspace& operator=(Workspace&&) noexcept = default;
    ~Workspace();

    [[nodiscard]] int folder() const { return folder_.get(); }
    /// In "tmp".
    [[nodiscard]] const std::string& name() const { return name_; }
    /// A new file in it, to be read and written.
    Result<UniqueFd> new_file(const std::string& name) const;
    /// A new folder in it.
    Result<UniqueFd> new_folder(const std::string& name) const;

private:
    Workspace(UniqueFd tmp, UniqueFd folder, std::string name)
        : tmp_{std::move(tmp)}, folder_{std::move(folder)}, name_{std::move(name)} {}
    UniqueFd tmp_, folder_;
    std::string name_;
};

class Store {
public:
    /// Makes what is missing and takes away what the dead have left.
    static Result<Store> open(const std::string& path);
    /// Only to look; ENOENT: there is none.
    static Result<Store> open_existing(const std::string& path);
    /// Of a folder that is open already (the worker's).
    static Result<Store> at(UniqueFd root);

    [[nodiscard]] int root() const { return root_.get(); }
    /// Takes away what the dead have left.
    void tidy() const;

    /// Nothing that is there goes away while it is held.
    Result<UniqueFd> lock_shared() const;
    /// Nobody adds or starts while it is held; waits for those who do.
    Result<UniqueFd> lock_exclusive() const;

    [[nodiscard]] bool has_blob(const Digest& digest) const;
    Result<UniqueFd> open_blob(const Digest& digest) const;
    /// A document: whole, bounded, and hashed again.
    Result<std::string> read_document(const Digest& digest) const;
    /// A file of `workspace` becomes the blob. Call sync() before the first name that leads to it.
    Result<void> keep_blob(const Workspace& workspace, const std::string& file, const Digest& digest) const;
    /// It is not what its digest says. Nobody adds anything meanwhile.
    Result<void> drop_blob(const Digest& digest) const;
    /// The beginning of a blob, maybe empty, at whose end it is to be gone on with. Waits for whoever fetches the same.
    Result<UniqueFd> open_partial(const Digest& digest) const;
    /// It has become whole, and has been checked; on the disk.
    Result<void> keep_partial(const Digest& digest) const;
    Result<void> drop_partial(const Digest& digest) const;

    Result<Digest> write_document(const Workspace& workspace, std::string_view text,
                                  Algorithm algorithm = Algorithm::sha256) const;

    [[nodiscard]] bool has_layer(const Digest& chain) const;
    /// What isn't there is a folder.
    [[nodiscard]] LayerForm form_of(const Digest& chain) const;
    /// A folder (O_PATH), or an EROFS file (open for reading).
    Result<UniqueFd> open_layer(const Digest& chain) const;
    /// A folder or file of `workspace` becomes the layer; if somebody was faster, theirs stays.
    Result<void> keep_layer(const Workspace& workspace, const std::string& folder, const Digest& chain) const;
    /// What was measured of the layer's files (verity.hpp); nothing where that was not asked for.
    Result<std::optional<UniqueFd>> open_record(const Digest& chain) const;
    /// A file of `workspace` becomes it. Before keep_layer(): no sealed layer is without it.
    Result<void> keep_record(const Workspace& workspace, const std::string& file, const Digest& chain) const;
    /// As keep_layer() for one that is there: what was the layer is in `folder`'s place then.
    Result<void> exchange_layer(const Workspace& workspace, const std::string& folder, const Digest& chain) const;
    Result<void> drop_record(const Digest& chain) const;
    static std::string layer_name(const Digest& chain);

    /// Everything written so far is on the disk.
    Result<void> sync() const;

    Result<std::vector<Tag>> tags() const;
    Result<std::optional<Tag>> find_tag(const std::string& name) const;
    Result<void> set_tag(const Workspace& workspace, const Tag& tag) const;
    /// False: there was none.
    Result<bool> remove_tag(const std::string& name) const;

    /// The image behind a manifest's digest; its blobs and layers are there or it is an error.
    Result<Image> load(const Digest& manifest) const;

private:
    explicit Store(UniqueFd root) : root_{std::move(root)} {}
    Result<void> make_folders() const;
    void remove_abandoned() const;
    void remove_old_partials() const;
    UniqueFd root_;
};

/// What `text` means: a name (":latest" without a tag) with the digest it may be pinned to, a digest, or the beginning
/// of one (6 digits or more).
Result<Tag> find_image(const Store& store, const std::string& text);
/// "registry/path:tag", as tags are named; "registry/path@digest" where only that is said.
Result<std::string> tag_name(const std::string& text);

} // namespace ctrd::image
