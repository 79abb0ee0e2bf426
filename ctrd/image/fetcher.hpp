// What the unpacking worker asks of the process that speaks HTTP (ctr-fetch), over a SOCK_SEQPACKET socket. Each
// request is one JSON object and brings two pipes: into the first come the bytes, into the second, when they have
// ended, how it went. So many requests may be under way at once, and nobody waits for another one's bytes.
//
//     > {"get": "top"}                                          what the image's name leads to
//     > {"get": "manifest", "digest": ..., "size": ..., "type": ...}    what an index or another manifest points at
//     > {"get": "tag", "tag": "sha256-....sig"}                 another manifest of the same repository
//     > {"get": "referrers", "digest": ..., "artifact_type": ...}       an index of what refers to the digest there
//     > {"get": "blob", "digest": ..., "size": ..., "from": ...}
//     < {"type": ..., "name": ..., "from": ...}  or  {"error": {"code": 22, "message": ..., "hint": ...}}
//
// Nothing of what comes is believed: who asks counts and hashes it all.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/image/documents.hpp"
#include "ctrd/image/unpack.hpp"

namespace ctrd::image {

/// A manifest or index as it came; its hash is for the caller to see to.
struct FetchedDocument {
    std::string text{};
    std::string type{}; // what the registry says that it is
    std::string name{}; // of "top": the image's full name, "registry/path:tag"
    std::string from{}; // of "top": who has answered
};

class Fetcher {
public:
    explicit Fetcher(UniqueFd socket) : socket_{std::move(socket)} {}

    Result<FetchedDocument> top() const;
    Result<FetchedDocument> manifest(const Descriptor& descriptor) const;
    Result<FetchedDocument> tag(const std::string& tag) const;
    /// What the registry knows to refer to `subject`; of one type, or (empty) of all.
    Result<std::vector<Descriptor>> referrers(const Digest& subject, const std::string& artifact_type) const;
    /// A small one: whole, of the announced size, and hashed.
    Result<std::string> document(const Descriptor& descriptor) const;
    /// From byte `from` on.
    Result<LayerInput> blob(const Descriptor& descriptor, std::uint64_t from) const;
    /// Everything under way ends soon, with an error.
    void stop() const;

private:
    UniqueFd socket_;
};

} // namespace ctrd::image
