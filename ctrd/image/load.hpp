// Images out of archives and folders: OCI layouts, Docker's archives, and tars of a whole file system.
#pragma once

#include "ctrd/image/ingest.hpp"

namespace ctrd::image {

struct LoadRequest {
    std::string name{};   // as what to store it; "" : as the archive says
    std::string wanted{}; // which of several, by the name that it has in the archive
    Platform platform{};
    std::string source{}; // for people
    bool replace{false};  // a name that the archive says may take the place of another image's
    IngestOptions options{};
};

/// The names that are stored now.
Result<std::vector<Tag>> load_archive(const Store& store, UniqueFd file, const LoadRequest& request);
/// `config`: what a container of it runs, as far as the caller says.
Result<Tag> import_rootfs(const Store& store, UniqueFd file, const Config& config, const LoadRequest& request);

/// Gives a stored image a name, unless somebody else's has it and `replace` is not said.
Result<Tag> name_image(const Store& store, const Workspace& workspace, const Image& image,
                       const std::optional<Digest>& index, const std::string& name, const std::string& source,
                       bool replace, const std::string& trust = {});

} // namespace ctrd::image
