// A file that holds an image: an OCI layout or Docker's archive as a tar, or a folder with an OCI layout. Its members
// are found by their names, none is unpacked; the names are only looked up, never used as paths of ours.
#pragma once

#include "ctrd/image/store.hpp"
#include "ctrd/image/unpack.hpp"

#include <map>

namespace ctrd::image {

class Archive {
public:
    /// `file`: a folder or an archive, which may be compressed as a whole, or come from a pipe: then it is written to
    /// `workspace` first.
    static Result<Archive> open(UniqueFd file, const Workspace& workspace, const LayerLimits& limits);

    [[nodiscard]] bool has(const std::string& name) const;
    Result<LayerInput> member(const std::string& name) const;
    /// A whole member, bounded.
    Result<std::string> text(const std::string& name) const;

private:
    struct Range {
        std::uint64_t offset{0};
        std::uint64_t length{0};
    };
    explicit Archive(UniqueFd file) : file_{std::move(file)} {}
    Result<void> index();
    Result<void> add_links(const std::map<std::string, std::string>& links);

    UniqueFd file_;
    bool is_folder_{false};
    std::map<std::string, Range> members_{};
};

} // namespace ctrd::image
