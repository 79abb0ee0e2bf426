#include "ctrd/image/new_layer.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/settle.hpp"

#include <fcntl.h>

namespace ctrd::image {

Result<NewLayer> NewLayer::make(const Workspace& workspace, const std::string& name, LayerForm form,
                                const LayerLimits& limits) {
    TRY_VOID(remove_tree(workspace.folder(), name));
    const bool is_folder = form == LayerForm::folder;
    UniqueFd file = TRY(is_folder ? workspace.new_folder(name) : workspace.new_file(name));
    NewLayer layer{workspace.folder(), name, std::move(file)};
    if (is_folder)
        layer.tree_ = std::make_unique<TreeWriter>(layer.file_.get(), limits);
    else
        layer.erofs_ = std::make_unique<ErofsLayer>(layer.file_.get(), limits);
    return layer;
}

LayerWriter& NewLayer::writer() const {
    if (tree_)
        return *tree_;
    return *erofs_;
}

Result<bool> NewLayer::settle(std::span<const LayerNode> lowers, const Digest& chain) {
    if (erofs_)
        return erofs_->settle(lowers, chain);
    TRY_VOID(image::settle(file_.get(), tree_->debts(), lowers));
    return true;
}

Result<UniqueFd> NewLayer::open() const { return open_at(workspace_, name_, O_RDONLY | O_NOFOLLOW); }

} // namespace ctrd::image
