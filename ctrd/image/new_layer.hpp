// A layer that is being made in a workspace, in the form in which it is to be stored.
#pragma once

#include "ctrd/image/erofs_layer.hpp"
#include "ctrd/image/store.hpp"
#include "ctrd/image/tree_writer.hpp"

namespace ctrd::image {

class NewLayer {
public:
    /// `name`: in the workspace; what it was before is gone.
    static Result<NewLayer> make(const Workspace& workspace, const std::string& name, LayerForm form,
                                 const LayerLimits& limits);

    /// For unpack_layer().
    [[nodiscard]] LayerWriter& writer() const;
    /// What the layers below say, whose roots `lowers` are, the uppermost first. False: it can't have this form, and is
    /// to be made anew as a folder.
    Result<bool> settle(std::span<const LayerNode> lowers, const Digest& chain);
    /// It, open for reading.
    [[nodiscard]] Result<UniqueFd> open() const;

private:
    NewLayer(int workspace, std::string name, UniqueFd file)
        : workspace_{workspace}, name_{std::move(name)}, file_{std::move(file)} {}

    int workspace_;
    std::string name_;
    UniqueFd file_;
    std::unique_ptr<TreeWriter> tree_{};  // one of
    std::unique_ptr<ErofsLayer> erofs_{}; // these
};

} // namespace ctrd::image
