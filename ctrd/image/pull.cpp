#include "ctrd/image/pull.hpp"

#include "ctrd/image/hasher.hpp"
#include "ctrd/image/load.hpp"
#include "ctrd/image/trust.hpp"

#include <algorithm>

namespace ctrd::image {
namespace {

/// An image's manifest, and the index through which it was found.
struct FoundManifest {
    Digest digest;
    std::string text{};
    std::optional<Digest> index{};
    std::string index_text{};
};

Result<void> check_digest(const std::string& text, const Digest& digest) {
    if (digest_of(text, digest.algorithm()) == digest)
        return {};
    return fail(bad_input("the manifest is not '" + digest.text() + "'", "it was damaged or exchanged on its way"));
}

Result<FoundManifest> find_manifest(const FetchedDocument& top, const Reference& reference, const Platform& platform,
                                    const Fetcher& fetcher) {
    const Digest digest = reference.digest ? *reference.digest : digest_of(top.text);
    TRY_VOID(check_digest(top.text, digest));
    const Document document = TRY(parse_document(top.text, top.type).context("'" + digest.text() + "'"));
    const auto* index = std::get_if<Index>(&document);
    if (index == nullptr)
        return FoundManifest{digest, top.text};
    const Descriptor entry = TRY(choose(*index, platform));
    if (entry.size > max_document_size)
        return fail(bad_input("'" + entry.digest.text() + "' has " + std::to_string(entry.size) +
                              " bytes, more than any such document"));
    FetchedDocument fetched = TRY(fetcher.manifest(entry));
    TRY_VOID(check_digest(fetched.text, entry.digest));
    TRY(parse_document(fetched.text, entry.media_type).context("'" + entry.digest.text() + "'"));
    return FoundManifest{entry.digest, std::move(fetched.text), digest, top.text};
}

/// Nothing is fetched that is there already.
Result<std::string> config_of(const Manifest& manifest, const Store& store, const Fetcher& fetcher) {
    if (store.has_blob(manifest.config.digest))
        if (auto text = store.read_document(manifest.config.digest))
            return text;
    return fetcher.document(manifest.config).context("the image's config");
}

std::string name_for(const Reference& reference) {
    if (reference.digest && reference.tag.empty())
        return reference.text();
    return reference.name() + ":" + (reference.tag.empty() ? "latest" : reference.tag);
}

} // namespace

Result<Tag> pull(const Store& store, const Fetcher& fetcher, const PullRequest& request) {
    const FetchedDocument top = TRY(fetcher.top());
    const auto candidate = std::ranges::find_if(
        request.candidates, [&](const PullCandidate& one) { return one.reference.text() == top.name; });
    if (candidate == request.candidates.end())
        return fail(bad_input("'" + printable(top.name) + "' was not asked for"));
    const FoundManifest found = TRY(find_manifest(top, candidate->reference, request.platform, fetcher));
    TrustQuestion question{candidate->reference, {found.digest}, candidate->scope};
    if (found.index)
        question.digests.push_back(*found.index);
    // Before a layer is touched, or what describes it.
    const std::string trust = TRY(check_trust(candidate->requirements, question, fetcher));

    const Document document = TRY(parse_document(found.text).context("'" + found.digest.text() + "'"));
    const auto* manifest = std::get_if<Manifest>(&document);
    if (manifest == nullptr)
        return fail(bad_input("'" + found.digest.text() + "' is an index in an index"));
    const std::string config = TRY(config_of(*manifest, store, fetcher));
    const Workspace workspace = TRY(Workspace::make(store));
    IngestOptions options = request.options;
    options.resumable = true;
    options.stop = [&] { fetcher.stop(); };
    const auto open = [&](const Descriptor& layer, std::uint64_t from) { return fetcher.blob(layer, from); };
    const Image image = TRY(ingest(store, workspace, found.digest, found.text, config, open, options));
    if (found.index)
        TRY(store.write_document(workspace, found.index_text, found.index->algorithm()));
    return name_image(store, workspace, image, found.index, name_for(candidate->reference), top.from, true, trust);
}

} // namespace ctrd::image
