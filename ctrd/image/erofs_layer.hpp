// The entries of one layer into an EROFS file, as overlayfs wants its layers: the same files that TreeWriter and
// settle() make, without making any. Content goes to the file as it comes; names are kept in memory until the layers
// below are there.
//
// What few layers have is left to a folder: hard links to files of a lower layer, what is written through a link of a
// lower layer, ACLs, attributes and devices that EROFS can't say, more names than memory should hold. Such a layer does
// not fit.
#pragma once

#include "ctrd/erofs/writer.hpp"
#include "ctrd/image/digest.hpp"
#include "ctrd/image/layer_tree.hpp"
#include "ctrd/image/layer_writer.hpp"
#include "ctrd/image/stacked.hpp"

namespace ctrd::image {

class ErofsLayer : public LayerWriter {
public:
    /// `file`: an empty one, open for writing.
    ErofsLayer(int file, const LayerLimits& limits) : writer_{file}, limits_{limits}, tree_{limits} {}

    Result<void> add(const TarEntry& entry, TarReader& data) override;
    Result<void> finish() override { return {}; }

    /// What is missing, from the layers below (their roots, the uppermost first). False: the layer does not fit, and
    /// the file is worth nothing. `chain`: the layer's id, of which the file system gets one of its own.
    Result<bool> settle(std::span<const LayerNode> lowers, const Digest& chain);

private:
    struct Place {
        TreeFolder* folder{nullptr};
        std::string path{}, name{};
    };
    Result<void> add_root(const TarEntry& entry);
    Result<bool> handle_whiteout(const Place& place);
    Result<void> add_folder(const TarEntry& entry, const Place& place);
    Result<void> add_file(const TarEntry& entry, const Place& place, TarReader& data);
    Result<void> add_link(const TarEntry& entry, const Place& place);
    Result<void> add_special(const TarEntry& entry, const Place& place);
    Result<void> set_folder(TreeFolder& folder, const TarEntry& entry);
    Result<void> put_content(const erofs::Place& where, std::uint64_t offset, std::string_view part, std::string& tail);
    Result<void> write_file(const Place& place, const erofs::Node& node, std::string_view content);
    void keep_file(const Place& place, const erofs::Node& node, erofs::Nid nid, std::string_view target);
    void give_up();

    Result<bool> take_attributes(TreeFolder& folder, std::span<const LayerNode> lowers);
    Result<void> write_folders();

    erofs::Writer writer_;
    LayerLimits limits_;
    LayerTree tree_;
    bool fits_{true};
    bool root_is_implied_{true};
};

} // namespace ctrd::image
