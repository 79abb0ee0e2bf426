// An image into the store, wherever it comes from: layers two at a time, everything checked, and no name before all
// that it leads to is whole and on the disk.
#pragma once

#include "ctrd/image/store.hpp"
#include "ctrd/image/unpack.hpp"

namespace ctrd::image {

/// One layer to come.
struct LayerSource {
    std::optional<Descriptor> blob{};                             // none: unknown until it has been read
    std::function<Result<LayerInput>(std::uint64_t from)> open{}; // from > 0 only where it is resumable
};

struct Progress {
    enum class State { waiting, working, done, shared };
    std::size_t layer{0};
    std::size_t layers{0};
    State state{State::waiting};
    std::string digest{}; // of the blob, where it is known
    std::uint64_t bytes{0};
    std::uint64_t total{0}; // 0: not known
};
/// Called by several threads, one at a time.
using ProgressSink = std::function<void(const Progress&)>;

struct IngestOptions {
    LayerLimits limits{};
    ProgressSink progress{};
    LayerForm form{LayerForm::folder};
    bool verity{false};           // layers are sealed by fs-verity, which the store's file system has
    bool resumable{false};        // what has come of a blob is kept for the next time, and gone on with
    std::function<void()> stop{}; // called once when a layer has failed, so that the others' sources end too
};

/// With a manifest: the image is exactly that one. Both texts are hashed again, whatever the caller has done.
/// `open`: of the layers in the manifest's order.
Result<Image> ingest(const Store& store, const Workspace& workspace, const Digest& digest,
                     const std::string& manifest_text, const std::string& config_text,
                     const std::function<Result<LayerInput>(const Descriptor&, std::uint64_t from)>& open,
                     const IngestOptions& options);
/// Without one, as archives of Docker have it: a manifest is made.
Result<Image> ingest(const Store& store, const Workspace& workspace, const std::string& config_text,
                     std::vector<LayerSource> layers, const IngestOptions& options);
/// A file system alone: a config is made too, with what `config` says and the layer's diff id.
Result<Image> ingest(const Store& store, const Workspace& workspace, Config config, LayerSource layer,
                     const IngestOptions& options);

} // namespace ctrd::image
