#include "ctrd/image/layer_tree.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace ctrd::image {
namespace {

constexpr int most_links = 40; // as the kernel has it
constexpr std::uint64_t most_held = 64U << 20;
constexpr unsigned most_depth = 4096;   // a path may be half of that, but goes on behind a link
constexpr std::size_t for_a_name = 128; // of a map's node and of what allocations take

/// The components of `path` in front of those that are still to come, the next one last.
void push_components(std::vector<std::string>& to_come, const std::string& path) {
    const auto before = static_cast<std::ptrdiff_t>(to_come.size());
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        to_come.push_back(path.substr(begin, end - begin));
        begin = end + 1;
    }
    std::reverse(to_come.begin() + before, to_come.end());
}

const std::string* link_target(const TreeNode& node) {
    const auto* file = std::get_if<std::shared_ptr<TreeFile>>(&node);
    return file != nullptr ? (*file)->target.get() : nullptr;
}

} // namespace

TreeFolder* as_folder(TreeNode& node) noexcept {
    auto* folder = std::get_if<std::unique_ptr<TreeFolder>>(&node);
    return folder != nullptr ? folder->get() : nullptr;
}

LayerTree::Walk LayerTree::walk(const std::string& path) {
    std::vector<std::string> to_come;
    push_components(to_come, path);
    TreeFolder* here = &root_;
    for (int links = 0; !to_come.empty();) {
        const std::string name = std::move(to_come.back());
        to_come.pop_back();
        if (name.empty() || name == ".")
            continue;
        if (name == "..") {
            here = here->parent;
            continue;
        }
        const auto child = here->children.find(name);
        if (child == here->children.end())
            return {Walk::End::missing};
        if (TreeFolder* folder = as_folder(child->second)) {
            here = folder;
            continue;
        }
        const std::string* target = link_target(child->second);
        if (target == nullptr)
            return {Walk::End::no_folder};
        if (++links > most_links)
            return {Walk::End::too_many_links};
        if (target->starts_with('/'))
            here = &root_;
        push_components(to_come, *target);
    }
    return {Walk::End::there, here};
}

TreeFolder& LayerTree::add_folder(TreeFolder& in, const std::string& name) {
    auto folder = std::make_unique<TreeFolder>();
    folder->parent = &in;
    folder->depth = in.depth + 1;
    if ((in.attributes.mode & S_ISGID) != 0) { // as a file system does it, until an entry says otherwise
        folder->attributes.mode |= S_ISGID;
        folder->attributes.gid = in.attributes.gid;
    }
    deepest_ = std::max(deepest_, folder->depth);
    TreeFolder& result = *folder;
    hold(sizeof(TreeFolder) + sizeof(TreeNode) + for_a_name + name.size());
    in.children.insert_or_assign(name, std::move(folder));
    return result;
}

void LayerTree::add_file(TreeFolder& in, const std::string& name, std::shared_ptr<TreeFile> file) {
    hold(sizeof(TreeFile) + sizeof(TreeNode) + for_a_name + name.size() + (file->target ? file->target->size() : 0));
    in.children.insert_or_assign(name, std::move(file));
}

bool LayerTree::is_too_much() const { return held_ > most_held || deepest_ > most_depth; }

void LayerTree::clear() {
    root_.children.clear();
    last_ = nullptr;
}

void LayerTree::remove(TreeFolder& in, const std::string& name) {
    in.children.erase(name);
    last_ = nullptr;
}

Result<TreeFolder*> LayerTree::make_folders(const std::string& path) {
    TreeFolder* parent = &root_;
    for (std::size_t end = 0; end != std::string::npos;) {
        end = path.find('/', end == 0 ? 0 : end + 1);
        const std::string prefix = path.substr(0, end);
        const std::string name = prefix.substr(prefix.rfind('/') + 1);
        const auto child = parent->children.find(name);
        const Walk walked = walk(prefix);
        if (walked.end == Walk::End::missing && child != parent->children.end())
            return fail(bad_input("'" + printable(path) + "' leads through a symbolic link to " +
                                  "what this layer does not hold"));
        if (walked.end == Walk::End::there) {
            parent = walked.folder;
        } else if (walked.end == Walk::End::missing) {
            TRY_VOID(count_.add_implied(prefix));
            parent = &add_folder(*parent, name);
            parent->implied = std::make_unique<std::string>(prefix);
            hold(prefix.size());
        } else if (walked.end == Walk::End::no_folder && child != parent->children.end() &&
                   std::holds_alternative<TreeWhiteout>(child->second)) {
            // A whiteout, and something new below it: a folder that hides the old one.
            parent = &add_folder(*parent, name);
            parent->is_opaque = true;
        } else {
            return fail(os_error(walked.end == Walk::End::too_many_links ? ELOOP : ENOTDIR,
                                 "cannot go through '" + printable(prefix) + "'"));
        }
    }
    return parent;
}

Result<TreeFolder*> LayerTree::folder(const std::string& path) {
    if (path.empty())
        return &root_;
    if (last_ != nullptr && last_path_ == path)
        return last_;
    const Walk walked = walk(path);
    last_ = walked.end == Walk::End::there ? walked.folder : TRY(make_folders(path));
    last_path_ = path;
    return last_;
}

} // namespace ctrd::image
