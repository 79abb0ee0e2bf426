// The JSON documents of an image, from hostile text into checked values: manifests and indexes, OCI's and Docker's, and
// what they point at. Bounded in size and depth; a document that could be read as two kinds is refused, since its
// digest would then name two images.
#pragma once

#include "ctrd/image/digest.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <variant>
#include <vector>

namespace ctrd::image {

namespace media {
inline constexpr std::string_view oci_manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view oci_index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view oci_config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view oci_layer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view oci_layer_gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view oci_layer_zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view docker_manifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_index = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_config = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view docker_layer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view docker_layer_gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
} // namespace media

/// Whether a layer of that type is a tar, packed or not, of whoever's naming; what says nothing may be one.
bool is_tar_type(std::string_view media_type) noexcept;

/// What registries accept for a manifest, and more than a real config has.
inline constexpr std::size_t max_document_size = 4U << 20;

struct Platform {
    std::string os{};
    std::string architecture{};
    std::string variant{}; // "" where none is said
    std::string os_version{};
    /// "linux/arm64/v8".
    [[nodiscard]] std::string text() const;
};
/// What this program was built for.
Platform host_platform();

using Annotations = std::map<std::string, std::string>;

struct Descriptor {
    std::string media_type{};
    Digest digest;
    std::uint64_t size{0};
    std::optional<Platform> platform{};
    Annotations annotations{};
    std::string artifact_type{};
};

struct Manifest {
    std::string media_type{};
    Descriptor config;
    std::vector<Descriptor> layers{};
    std::optional<Descriptor> subject{};
    std::string artifact_type{};
    Annotations annotations{};
};

struct Index {
    std::string media_type{};
    std::vector<Descriptor> manifests{};
    std::optional<Descriptor> subject{};
    std::string artifact_type{};
    Annotations annotations{};
};

using Document = std::variant<Manifest, Index>;

/// A manifest or an index. `media_type`: what the descriptor or the Content-Type says; "" where nothing does. It must
/// not contradict what the document says of itself.
Result<Document> parse_document(std::string_view text, std::string_view media_type = {});

/// The entry of `index` for `wanted`: of the same system and architecture, with the same variant before one without.
Result<Descriptor> choose(const Index& index, const Platform& wanted);

/// What an image's config says. All of it is the image's word: defaults for a declaration, never a right.
struct Config {
    struct History {
        std::string created{}, created_by{}, comment{};
        bool empty_layer{false};
    };
    Platform platform{};
    std::string created{}, author{};
    std::vector<Digest> diff_ids{};
    std::vector<std::string> entrypoint{}, command{};
    std::vector<std::pair<std::string, std::string>> environment{}; // in their order; entries without '=' are refused
    std::string user{}, working_directory{}, stop_signal{};
    std::vector<std::string> exposed_ports{}, volumes{};
    Annotations labels{};
    std::vector<History> history{};
};
Result<Config> parse_config(std::string_view text);

/// OCI's chain ids: what the layers up to and with each one make together.
std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids);

/// The JSON of a descriptor, a manifest ... as we write them: compact, keys sorted.
std::string to_json(const Descriptor& descriptor);
std::string to_json(const Manifest& manifest);
std::string to_json(const Index& index);

} // namespace ctrd::image
