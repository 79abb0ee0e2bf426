// One repository of one registry, by the distribution specification 1.1: manifests, blobs, tags and referrers. What
// comes is checked against its digest here; nothing of it is trusted before.
#pragma once

#include "ctrd/registry/blob_progress.hpp"
#include "ctrd/registry/session.hpp"

namespace ctrd::registry {

/// A manifest or an index, as its bytes are and by what they are known.
struct Fetched {
    Descriptor descriptor;
    std::string text{};
};

using Sink = std::function<Result<void>(std::string_view)>;
/// Reads a part of what is to be pushed: 0 only at the end.
using ReadAt = std::function<Result<std::size_t>(std::uint64_t offset, std::span<char> buffer)>;

class Repository {
public:
    Repository(std::shared_ptr<Session> session, std::string name, bool for_push = false)
        : session_{std::move(session)}, name_{std::move(name)}, for_push_{for_push} {}

    /// By tag or digest. Its digest is computed, not believed.
    Result<Fetched> manifest(const Reference& reference, const std::stop_token& stop);
    /// What an index or another manifest points at.
    Result<Fetched> manifest(const Descriptor& descriptor, const std::stop_token& stop);

    /// Goes on with a blob until it is whole: in pieces where the connection is cut, each piece given to `sink` as it
    /// comes. An error of the sink stops it. What is whole is verified.
    Result<void> fetch_blob(BlobProgress& progress, const Sink& sink, const std::stop_token& stop);
    /// A small one, in memory.
    Result<std::string> small_blob(const Descriptor& descriptor, std::size_t limit, const std::stop_token& stop);

    Result<std::vector<std::string>> tags(const std::stop_token& stop);
    /// What refers to `subject`, of one type or (empty) of all; by the API, or by the tag that stands in for it.
    Result<std::vector<Descriptor>> referrers(const image::Digest& subject, const std::string& artifact_type,
                                              const std::stop_token& stop);

    Result<bool> has_blob(const Descriptor& descriptor, const std::stop_token& stop);
    /// Nothing moves where it is there already, or in the repository `elsewhere` of the same registry ("": none).
    /// True where something was sent.
    Result<bool> push_blob(const Descriptor& descriptor, const ReadAt& read, const std::string& elsewhere,
                           const std::stop_token& stop);
    /// Under a tag, or (empty) by its digest alone. A referrer is entered in its subject's list where the registry does
    /// not do that by itself.
    Result<void> push_manifest(const Fetched& manifest, const std::string& tag, const std::stop_token& stop);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const std::string& registry() const noexcept { return session_->name(); }

    /// Blobs above this go in pieces of this size.
    std::uint64_t chunk{32U << 20};

private:
    Result<Fetched> get_manifest(const std::string& identifier, std::size_t limit, const std::stop_token& stop);
    Result<Answer> get_blob_part(BlobProgress& progress, const Sink& sink, bool& sink_failed,
                                 const std::stop_token& stop);
    Result<std::vector<Descriptor>> referrers_by_tag(const image::Digest& subject, const std::stop_token& stop);
    Result<Url> start_upload(const Descriptor& descriptor, const std::string& elsewhere, const std::stop_token& stop);
    Result<void> send_whole(Url place, const Descriptor& descriptor, const ReadAt& read, const std::stop_token& stop);
    Result<void> send_in_chunks(Url place, const Descriptor& descriptor, const ReadAt& read,
                                const std::stop_token& stop);
    Result<void> put_manifest(const Fetched& manifest, const std::string& identifier, bool& subject_known,
                              const std::stop_token& stop);
    Result<void> enter_referrer(const Fetched& manifest, const Descriptor& subject, const std::stop_token& stop);
    [[nodiscard]] ApiRequest request(std::string method, const std::string& rest) const;
    [[nodiscard]] std::string place() const { return "'" + session_->name() + "/" + name_ + "'"; }

    std::shared_ptr<Session> session_;
    std::string name_;
    bool for_push_;
};

/// The tag that stands in for the list of what refers to `subject`, as the specification has it.
std::string referrers_tag(const image::Digest& subject);

/// The next page of a list: the path and query of a Link header with rel="next", or "".
std::string next_page(const std::string& link);

} // namespace ctrd::registry
