// A folder with one image in it, as the test driver keeps it: manifest.json and blobs/HEX; what is under way is
// blobs/HEX.part, and is gone on with by the next one.
#pragma once

#include "ctrd/registry/client.hpp"

#include <string>

namespace ctrd::driver {

using registry::Descriptor;

class Folder {
public:
    explicit Folder(std::string path) : path_{std::move(path)} {}

    Result<void> prepare() const;
    [[nodiscard]] bool has(const Descriptor& blob) const;
    /// Says how many bytes have moved.
    Result<std::uint64_t> fetch(registry::Located& from, const Descriptor& blob, const std::stop_token& stop) const;
    /// True where something was sent.
    Result<bool> push(registry::Repository& to, const Descriptor& blob, const std::string& elsewhere,
                      const std::stop_token& stop) const;
    Result<void> write_manifest(const std::string& text) const;
    Result<std::string> read_manifest() const;

private:
    [[nodiscard]] std::string blob_path(const Descriptor& blob) const;
    std::string path_;
};

} // namespace ctrd::driver
