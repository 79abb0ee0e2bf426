// The names of a layer while it comes, in memory: what a file system does for TreeWriter. Links on the way of a path
// are followed as in a root of the layer's own.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/erofs/node.hpp"
#include "ctrd/image/layer_writer.hpp"

#include <map>
#include <memory>
#include <variant>

namespace ctrd::image {

/// Anything but a folder, written already. Shared by its hard links.
struct TreeFile {
    erofs::Nid nid{0};
    std::uint32_t mode{0};
    std::uint32_t links{0};
    std::unique_ptr<std::string> target{}; // of a symbolic link
};

struct TreeFolder;
struct TreeWhiteout {};
using TreeNode = std::variant<TreeWhiteout, std::shared_ptr<TreeFile>, std::unique_ptr<TreeFolder>>;

struct TreeFolder {
    TreeFolder* parent{nullptr}; // the root's: itself
    unsigned depth{0};
    erofs::Node attributes{.mode = 040755};
    bool is_opaque{false};
    std::unique_ptr<std::string> implied{}; // the path that it was made for, where no entry has named it
    std::map<std::string, TreeNode, std::less<>> children{};
};

TreeFolder* as_folder(TreeNode& node) noexcept;

class LayerTree {
public:
    explicit LayerTree(const LayerLimits& limits) : count_{limits} { root_.parent = &root_; }
    LayerTree(const LayerTree&) = delete;
    LayerTree& operator=(const LayerTree&) = delete;

    [[nodiscard]] TreeFolder& root() { return root_; }

    /// The folder `path`, made if need be: what is missing is implied.
    Result<TreeFolder*> folder(const std::string& path);

    /// A folder that is there, and how the way to it ended if it is not.
    struct Walk {
        enum class End { there, missing, no_folder, too_many_links };
        End end{End::there};
        TreeFolder* folder{nullptr};
    };
    [[nodiscard]] Walk walk(const std::string& path);

    /// A new folder at `name`, which is free.
    TreeFolder& add_folder(TreeFolder& in, const std::string& name);
    void add_file(TreeFolder& in, const std::string& name, std::shared_ptr<TreeFile> file);
    /// Away with what has the name.
    void remove(TreeFolder& in, const std::string& name);
    /// Nothing is left but the root.
    void clear();

    /// Of the archive.
    Result<void> count_entry() { return count_.add_entry(); }
    /// Some bytes more are kept in memory.
    void hold(std::size_t bytes) { held_ += bytes; }
    /// Whether memory should not hold that much, or no stack is deep enough to go through it. What was taken away
    /// counts.
    [[nodiscard]] bool is_too_much() const;

private:
    Result<TreeFolder*> make_folders(const std::string& path);

    LayerCount count_;
    std::uint64_t held_{0}; // bytes, about
    unsigned deepest_{0};
    TreeFolder root_{};
    std::string last_path_{}; // the next entry is mostly in the same folder
    TreeFolder* last_{nullptr};
};

} // namespace ctrd::image
