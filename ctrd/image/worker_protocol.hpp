// What ctrctl and its worker say to each other over a pair of SOCK_SEQPACKET sockets: one request with descriptors,
// then progress, then one answer. Each message is one JSON object. The worker reads strangers' bytes: ctrctl takes its
// messages for hostile too.
//
//     > {"verb": "load" | "import" | "pull", ...}      with [store, input]; of a pull, input leads to ctr-fetch
//     > {"verb": "storage", ...}                       with [store, folder of Podman's storage]
//     > {"verb": "save", ...}                          with [store, output]
//     > {"verb": "commit", ...}                        with [store, folder]
//     > {"verb": "export"}                             with [store, folder, output]
//     > {"verb": "verify", "base": ..., "layer": ...}  with [store, that layer]; with "quick" no file is read
//     > {"verb": "rebuild", "base": ..., "layer": ..., "workspace": ...}  with [store, that layer]
//     < {"layer": 0, "layers": 12, "state": "working", "digest": "sha256:...", "bytes": 1, "total": 2}
//     < {"tags": [{"name": ..., "manifest": ..., "index": ...}]}  or  {"error": {"code": 22, "message": ..., "hint":
//     ...}}
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/image/commit.hpp"
#include "ctrd/image/json.hpp"
#include "ctrd/image/load.hpp"
#include "ctrd/image/owners.hpp"
#include "ctrd/image/pull.hpp"
#include "ctrd/image/save.hpp"

namespace ctrd::imaging {

using image::Json;

inline constexpr int worker_socket = 3;
inline constexpr std::size_t max_message = 65536;

Json to_json(const image::Progress& progress);
Result<image::Progress> progress_from(const Json& json);
Json to_json(const Error& error);
Error error_from(const Json& json);
Json to_json(const std::vector<image::Tag>& tags);
Result<std::vector<image::Tag>> tags_from(const Json& json);

/// The worker's part of a request; `config` is what import says of the image.
struct Request {
    std::string verb{};
    image::LoadRequest load{};
    image::Config config{};
    std::vector<image::PullCandidate> candidates{}; // of pull
    std::vector<image::Tag> tags{};                 // of save
    image::ArchiveKind kind{image::ArchiveKind::oci};
    std::optional<image::Digest> base{}; // of commit, as the next two; the rest of it is `load`. Of verify, too
    std::string author{}, message{};
    image::Owners owners{};              // of export
    std::uint32_t layer{0};              // of verify: which of base's, the lowest is 0
    bool quick{false};                   // of verify
    std::string workspace{};             // of rebuild: the folder in tmp that gets what was made
    std::optional<std::uint64_t> room{}; // bytes that the store may still take; `load` has them as a budget then
};
Json to_json(const Request& request);
Result<Request> request_from(const Json& json);

} // namespace ctrd::imaging
