// The entries of one layer into a tree of its own, as overlayfs wants its layers: a deleted file is a device 0:0, a
// folder that hides what is below it has the attribute user.overlay.opaque. Every path is opened below the tree's
// descriptor (openat2), so no link leads out of it; nothing is read from outside the tree.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/image/layer_writer.hpp"

#include <set>
#include <string>
#include <vector>

namespace ctrd::image {

/// What a layer leaves to those below it: settle() does it when they are there.
struct LayerDebts {
    bool implied_root{true};                    // no entry for "./"
    std::vector<std::string> implied_folders{}; // made for what is in them; their entry, if any, is in a lower layer
    struct Link {
        std::string target{}, path{};
        TarTime mtime{};
    };
    std::vector<Link> lower_links{}; // hard links to what this layer does not hold
};

class TreeWriter : public LayerWriter {
public:
    /// `root`: an open folder, empty.
    TreeWriter(int root, const LayerLimits& limits) : root_{root}, limits_{limits}, count_{limits} {}

    Result<void> add(const TarEntry& entry, TarReader& data) override;
    /// The folders' times, which everything that was put into them has changed.
    Result<void> finish() override;
    [[nodiscard]] const LayerDebts& debts() const { return debts_; }

private:
    struct Place {
        int folder{-1};
        std::string folder_path{}, name{};
        [[nodiscard]] std::string path() const { return folder_path.empty() ? name : folder_path + "/" + name; }
    };
    struct FolderTime {
        std::string path{};
        TarTime atime{}, mtime{};
    };

    Result<Place> place_of(const std::string& path);
    Result<int> open_folder(const std::string& path);
    Result<UniqueFd> make_folders(const std::string& path);
    Result<bool> handle_whiteout(const Place& place);
    Result<void> make_room(const Place& place, bool for_folder);
    Result<void> add_root(const TarEntry& entry);
    Result<void> add_folder(const TarEntry& entry, const Place& place);
    Result<void> add_file(const TarEntry& entry, const Place& place, TarReader& data);
    Result<void> add_link(const TarEntry& entry, const Place& place);
    Result<void> add_special(const TarEntry& entry, const Place& place);
    Result<void> write_data(int file, const TarEntry& entry, TarReader& data);
    Result<void> make_opaque(int folder);
    Result<void> set_folder(int folder, const TarEntry& entry);

    int root_;
    LayerLimits limits_;
    std::string open_path_{};
    UniqueFd open_folder_{};
    LayerCount count_;
    std::vector<FolderTime> times_{};
    std::set<std::string> whiteouts_{};
    LayerDebts debts_{};
};

/// Removes what `name` in `folder` is, with all below it; never follows a link. Nothing there is fine.
Result<void> remove_tree(int folder, const std::string& name);

} // namespace ctrd::image
