// Blobs and manifests of a repository, as they go.
#include "ctrd/registry/repository.hpp"

#include <algorithm>
#include <charconv>

namespace ctrd::registry {
namespace {

namespace media = image::media;
constexpr const char* octets = "Content-Type: application/octet-stream";

/// The uploads of one request: the bytes from `at` on, `size` of them.
std::function<Result<std::size_t>(std::span<char>)> reader(const ReadAt& read, std::uint64_t at, std::uint64_t size) {
    return [&read, at, end = at + size](std::span<char> buffer) mutable -> Result<std::size_t> {
        const auto wanted = std::min<std::uint64_t>(buffer.size(), end - at);
        if (wanted == 0)
            return std::size_t{0};
        const std::size_t got = TRY(read(at, buffer.first(wanted)));
        if (got == 0)
            return fail(bad_input("what is pushed has become shorter meanwhile"));
        at += got;
        return got;
    };
}

/// 401: a token may have ended under way, and what has been sent can't be sent again at once.
bool may_go_better(long status) { return status == 401 || status == 408 || status == 429 || status >= 500; }

/// "Range: 0-LAST" of an upload: how much has arrived.
std::uint64_t arrived(const Answer& answer) {
    const std::string range = answer.header("range");
    const std::size_t dash = range.find('-');
    std::uint64_t last = 0;
    if (dash == std::string::npos ||
        std::from_chars(range.data() + dash + 1, range.data() + range.size(), last).ec != std::errc{})
        return 0;
    // "0-0" is what registries say of nothing, too: a byte sent again is no loss.
    return last == 0 ? 0 : last + 1;
}

} // namespace

Result<bool> Repository::has_blob(const Descriptor& descriptor, const std::stop_token& stop) {
    const std::string what = "blob " + descriptor.digest.text() + " of " + place();
    const Answer answer = TRY(session_->send(request("HEAD", "blobs/" + descriptor.digest.text()), stop).context(what));
    if (answer.status == 200)
        return true;
    if (answer.status == 404)
        return false;
    return fail(session_->refusal(answer, what));
}

/// The place to which the blob goes; with an empty path where it is there without moving.
Result<Url> Repository::start_upload(const Descriptor& descriptor, const std::string& elsewhere,
                                     const std::stop_token& stop) {
    const std::string what = "an upload to " + place();
    ApiRequest post = request("POST", "blobs/uploads/");
    if (!elsewhere.empty()) {
        post.path += "?mount=" + encoded(descriptor.digest.text()) + "&from=" + encoded(elsewhere);
        post.scopes.push_back("repository:" + elsewhere + ":pull");
    }
    const Answer answer = TRY(session_->send(post, stop).context(what));
    if (answer.status == 201 && !elsewhere.empty()) {
        Url there;
        there.path.clear();
        return there;
    }
    if (answer.status != 202)
        return fail(session_->refusal(answer, what));
    return session_->location(answer);
}

Result<void> Repository::send_whole(Url url, const Descriptor& descriptor, const ReadAt& read,
                                    const std::stop_token& stop) {
    const std::string what = "blob " + descriptor.digest.text() + " to " + place();
    for (unsigned number = 1;;) {
        ApiRequest put = request("PUT", "");
        put.url = with_query(url, {{"digest", descriptor.digest.text()}});
        put.headers.emplace_back(octets);
        put.upload = reader(read, 0, descriptor.size);
        put.upload_size = descriptor.size;
        put.repeatable = false;
        const auto answer = session_->send_once(put, stop);
        if (answer && answer->status == 201)
            return {};
        const bool again = answer ? may_go_better(answer->status) : is_temporary(answer.error());
        if (!again || number >= session_->settings().tries)
            return answer ? Result<void>{fail(session_->refusal(*answer, what))}
                          : Result<void>{fail(answer.error())}.context(what);
        TRY_VOID(session_->wait_before(++number, answer ? &*answer : nullptr, stop));
        url = TRY(start_upload(descriptor, "", stop)); // what the old one has of it is not known
    }
}

Result<void> Repository::send_in_chunks(Url url, const Descriptor& descriptor, const ReadAt& read,
                                        const std::stop_token& stop) {
    const std::string what = "blob " + descriptor.digest.text() + " to " + place();
    std::uint64_t at = 0;
    unsigned restarts = 0;
    for (unsigned number = 1; at < descriptor.size;) {
        const auto size = std::min(chunk, descriptor.size - at);
        ApiRequest patch = request("PATCH", "");
        patch.url = url;
        patch.headers.emplace_back(octets);
        patch.headers.push_back("Content-Range: " + std::to_string(at) + "-" + std::to_string(at + size - 1));
        patch.upload = reader(read, at, size);
        patch.upload_size = size;
        patch.repeatable = false;
        const auto answer = session_->send_once(patch, stop);
        if (answer && answer->status == 202) {
            url = TRY(session_->location(*answer));
            at += size;
            number = 1;
            continue;
        }
        const bool again =
            answer ? may_go_better(answer->status) || answer->status == 416 : is_temporary(answer.error());
        if (!again || number >= session_->settings().tries)
            return answer ? Result<void>{fail(session_->refusal(*answer, what))}
                          : Result<void>{fail(answer.error())}.context(what);
        TRY_VOID(session_->wait_before(++number, answer ? &*answer : nullptr, stop));
        ApiRequest ask = request("GET", "");
        ask.url = url;
        const Answer state = TRY(session_->send(ask, stop).context(what));
        if (state.status == 204) {
            at = std::min(arrived(state), descriptor.size);
            if (!state.header("location").empty())
                url = TRY(session_->location(state));
            continue;
        }
        // docker-registry disowns an upload of which a piece was cut. Each new one may come less far than the last.
        if (++restarts >= session_->settings().tries)
            return fail(session_->refusal(state, what));
        url = TRY(start_upload(descriptor, "", stop));
        at = 0;
    }
    ApiRequest put = request("PUT", "");
    put.url = with_query(url, {{"digest", descriptor.digest.text()}});
    const Answer answer = TRY(session_->send(put, stop).context(what));
    return answer.status == 201 ? Result<void>{} : fail(session_->refusal(answer, what));
}

Result<bool> Repository::push_blob(const Descriptor& descriptor, const ReadAt& read, const std::string& elsewhere,
                                   const std::stop_token& stop) {
    if (TRY(has_blob(descriptor, stop)))
        return false;
    const Url url = TRY(start_upload(descriptor, elsewhere, stop));
    if (url.path.empty())
        return false;
    if (descriptor.size <= chunk)
        TRY_VOID(send_whole(url, descriptor, read, stop));
    else
        TRY_VOID(send_in_chunks(url, descriptor, read, stop));
    return true;
}

Result<void> Repository::put_manifest(const Fetched& manifest, const std::string& identifier, bool& subject_known,
                                      const std::stop_token& stop) {
    const std::string what = "manifest '" + identifier + "' to " + place();
    ApiRequest put = request("PUT", "manifests/" + identifier);
    put.headers.push_back("Content-Type: " + manifest.descriptor.media_type);
    put.body = manifest.text;
    const Answer answer = TRY(session_->send(put, stop).context(what));
    if (answer.status != 201)
        return fail(session_->refusal(answer, what));
    const std::string digest = answer.header("docker-content-digest");
    if (!digest.empty() && digest.starts_with("sha256:") && manifest.descriptor.digest.text().starts_with("sha256:") &&
        digest != manifest.descriptor.digest.text())
        return fail(Error{std::errc::bad_message,
                          what + ": the registry has stored it as " + printable(digest.substr(0, 80)), ""});
    subject_known = !answer.header("oci-subject").empty();
    return {};
}

/// The list of those that refer to `subject`, kept under a tag by us where the registry has no API for it.
Result<void> Repository::enter_referrer(const Fetched& manifest, const Descriptor& subject,
                                        const std::stop_token& stop) {
    const auto document = TRY(image::parse_document(manifest.text, manifest.descriptor.media_type));
    Descriptor entry = manifest.descriptor;
    if (const auto* parsed = std::get_if<image::Manifest>(&document)) {
        entry.artifact_type = parsed->artifact_type.empty() ? parsed->config.media_type : parsed->artifact_type;
        entry.annotations = parsed->annotations;
    }
    image::Index index;
    index.media_type = media::oci_index;
    index.manifests = TRY(referrers_by_tag(subject.digest, stop));
    if (std::ranges::find(index.manifests, entry.digest, &Descriptor::digest) != index.manifests.end())
        return {};
    index.manifests.push_back(std::move(entry));
    const std::string text = image::to_json(index);
    bool known = false;
    return put_manifest({{std::string{media::oci_index}, image::digest_of(text), text.size()}, text},
                        referrers_tag(subject.digest), known, stop);
}

Result<void> Repository::push_manifest(const Fetched& manifest, const std::string& tag, const std::stop_token& stop) {
    bool subject_known = false;
    TRY_VOID(put_manifest(manifest, tag.empty() ? manifest.descriptor.digest.text() : tag, subject_known, stop));
    const auto document = TRY(image::parse_document(manifest.text, manifest.descriptor.media_type));
    const auto subject = std::visit([](const auto& known) { return known.subject; }, document);
    if (!subject || subject_known)
        return {};
    return enter_referrer(manifest, *subject, stop);
}

} // namespace ctrd::registry
