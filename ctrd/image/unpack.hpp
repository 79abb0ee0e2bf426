// One layer from its compressed bytes into files: read, hash and keep, inflate, hash again and write files, each in a
// thread of its own with bounded queues between them. What is written is only believed when both hashes fit.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/image/decompress.hpp"
#include "ctrd/image/documents.hpp"
#include "ctrd/image/layer_writer.hpp"

#include <functional>

namespace ctrd::image {

/// A stream up to its end, or a part of a file.
struct LayerInput {
    UniqueFd file{};
    std::optional<std::uint64_t> offset{}; // none: a stream
    std::uint64_t length{0};               // from offset on
    /// Of a stream, at its end: whether it came to its end, or was cut.
    std::function<Result<void>()> ended{};
};

struct LayerJob {
    const LayerInput& input;
    std::optional<Descriptor> blob{}; // what it must be; none: whatever it is
    std::optional<Digest> diff_id{};  // of the tar in it; none: whatever it is
    int copy{-1};                     // gets the compressed bytes; -1: nobody
    std::uint64_t have{0};            // so many of them are in `copy` already: the input goes on behind them
    LayerWriter* writer{nullptr};     // gets the entries; none: the bytes are only checked and kept
    LayerLimits limits{};
    std::function<void(std::uint64_t)> progress{}; // compressed bytes so far; called by another thread
};

struct LayerResult {
    Digest blob;
    Digest diff_id;
    std::uint64_t size{0};     // compressed
    std::uint64_t tar_size{0}; // not compressed
    Compression compression{Compression::none};
};

Result<LayerResult> unpack_layer(const LayerJob& job);

} // namespace ctrd::image
