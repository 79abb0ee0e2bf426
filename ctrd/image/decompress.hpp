// A layer's bytes as they come, into the tar that they hold: gzip (also of several members), zstd, or nothing to do.
// What it is is told by its first bytes, since media types are often wrong; the hash of the result decides.
#pragma once

#include "ctrd/base/result.hpp"

#include <functional>
#include <memory>

namespace ctrd::image {

enum class Compression { none, gzip, zstd };
/// By the first bytes; xz, bzip2 and lzma, which no layer may have, are refused by name.
Result<Compression> detect_compression(std::string_view first_bytes);

class Decompressor {
public:
    /// Takes the result piece by piece; its error ends the work.
    using Sink = std::function<Result<void>(std::string_view)>;

    static std::unique_ptr<Decompressor> make(Compression compression);
    virtual ~Decompressor() = default;
    virtual Result<void> feed(std::string_view data, const Sink& sink) = 0;
    /// The input has ended: an error where the stream has not.
    virtual Result<void> finish() = 0;
};

} // namespace ctrd::image
