// Writes tar as every reader of layers takes it: ustar, with pax records for what does not fit (long names, times to
// the nanosecond, large numbers, attributes), and GNU's sparse files in their pax form 1.0.
#pragma once

#include "ctrd/image/tar.hpp"

#include <functional>

namespace ctrd::image {

class TarWriter {
public:
    /// Takes the archive piece by piece; its error ends the work.
    using Sink = std::function<Result<void>(std::string_view)>;
    explicit TarWriter(Sink sink) : sink_{std::move(sink)} {}

    /// The header. For a file all of it follows by data(): `size` bytes, or those of its segments if it is sparse.
    Result<void> add(const TarEntry& entry);
    /// No more than the header has announced.
    Result<void> data(std::string_view bytes);
    /// What the header has announced and nobody has brought: zeros. A file may have become shorter meanwhile.
    Result<void> fill();
    [[nodiscard]] std::uint64_t missing() const { return missing_; }
    /// The end of the archive.
    Result<void> finish();

private:
    Result<void> header(const TarEntry& entry, std::string_view path, char type, std::uint64_t size);
    Result<void> zeros(std::uint64_t size);

    Sink sink_;
    std::uint64_t missing_{0};
    std::uint32_t padding_{0};
};

/// A small file of our own, whole.
Result<void> add_text(TarWriter& to, const std::string& path, std::string_view text);

} // namespace ctrd::image
