// Manifests and lists of a repository.
#include "ctrd/registry/repository.hpp"

#include "ctrd/image/json.hpp"

#include <algorithm>

namespace ctrd::registry {
namespace {

namespace media = image::media;
constexpr std::size_t most_pages = 100;
constexpr std::size_t most_tags = 100000;
constexpr std::size_t largest_list = 4U << 20;

std::string accepted_types() {
    std::string types;
    for (const auto type : {media::oci_index, media::oci_manifest, media::docker_index, media::docker_manifest})
        types += (types.empty() ? "Accept: " : ", ") + std::string{type};
    return types;
}

/// Without parameters, and "" where it says nothing about what it is.
std::string content_type(const Answer& answer) {
    std::string type = answer.header("content-type");
    type = type.substr(0, type.find(';'));
    while (type.ends_with(' '))
        type.pop_back();
    const bool says_nothing = type == "text/plain" || type == "application/json" || type == "application/octet-stream";
    return says_nothing ? "" : type;
}

bool is_manifest_type(std::string_view type) {
    return type == media::oci_index || type == media::oci_manifest || type == media::docker_index ||
           type == media::docker_manifest;
}

std::string media_type_of(const image::Document& document) {
    return std::visit([](const auto& known) { return known.media_type; }, document);
}

/// Docker-Content-Digest is only a second opinion: where it is there, it must be the same.
Result<void> check_header(const Answer& answer, const std::string& text, const std::string& what) {
    const std::string said = answer.header("docker-content-digest");
    if (said.empty())
        return {};
    const auto digest = TRY(image::Digest::parse(said).context(what + ": Docker-Content-Digest"));
    if (image::digest_of(text, digest.algorithm()) != digest)
        return fail(
            Error{std::errc::bad_message, what + " does not have the digest that the registry says it has", ""});
    return {};
}

} // namespace

ApiRequest Repository::request(std::string method, const std::string& rest) const {
    ApiRequest result;
    result.method = std::move(method);
    result.path = name_ + "/" + rest;
    result.scopes = {"repository:" + name_ + (for_push_ ? ":pull,push" : ":pull")};
    return result;
}

Result<Fetched> Repository::get_manifest(const std::string& identifier, std::size_t limit,
                                         const std::stop_token& stop) {
    const std::string what = "manifest '" + identifier + "' of " + place();
    ApiRequest get = request("GET", "manifests/" + identifier);
    get.headers.push_back(accepted_types());
    get.answer_limit = limit;
    Answer answer = TRY(session_->send(get, stop).context(what));
    if (answer.status != 200)
        return fail(session_->refusal(answer, what));
    const std::string type = content_type(answer);
    if (type.starts_with("application/vnd.docker.distribution.manifest.v1"))
        return fail(Error{std::errc::not_supported,
                          what + " is in Docker's first format, which nothing signs or checks",
                          "push the image again with a tool of this decade"});
    if (!type.empty() && !is_manifest_type(type))
        return fail(bad_input(what + " is of the type '" + printable(type.substr(0, 100)) + "', which is no image"));
    TRY_VOID(check_header(answer, answer.body, what));
    const auto document = TRY(image::parse_document(answer.body, type).context(what));
    Descriptor descriptor{media_type_of(document), image::digest_of(answer.body), answer.body.size()};
    if (descriptor.media_type.empty())
        descriptor.media_type = type;
    return Fetched{std::move(descriptor), std::move(answer.body)};
}

Result<Fetched> Repository::manifest(const Reference& reference, const std::stop_token& stop) {
    Fetched fetched = TRY(get_manifest(reference.identifier(), image::max_document_size, stop));
    if (!reference.digest)
        return fetched;
    if (const auto found = image::digest_of(fetched.text, reference.digest->algorithm()); found != *reference.digest)
        return fail(Error{std::errc::bad_message,
                          "manifest " + reference.digest->text() + " of " + place() +
                              " is not what it should be: its digest is " + found.text(),
                          ""});
    fetched.descriptor.digest = *reference.digest;
    return fetched;
}

Result<Fetched> Repository::manifest(const Descriptor& descriptor, const std::stop_token& stop) {
    if (descriptor.size > image::max_document_size)
        return fail(bad_input("manifest " + descriptor.digest.text() + " is announced with " +
                              std::to_string(descriptor.size) + " bytes, which is too large"));
    Reference reference;
    reference.digest = descriptor.digest;
    Fetched fetched = TRY(manifest(reference, stop));
    if (fetched.descriptor.size != descriptor.size)
        return fail(Error{std::errc::bad_message,
                          "manifest " + descriptor.digest.text() + " has " + std::to_string(fetched.descriptor.size) +
                              " bytes instead of " + std::to_string(descriptor.size),
                          ""});
    if (!descriptor.media_type.empty() && fetched.descriptor.media_type != descriptor.media_type)
        return fail(Error{std::errc::bad_message,
                          "manifest " + descriptor.digest.text() + " is of the type '" + fetched.descriptor.media_type +
                              "' instead of '" + printable(descriptor.media_type.substr(0, 100)) + "'",
                          ""});
    return fetched;
}

std::string referrers_tag(const image::Digest& subject) {
    return std::string{image::to_string(subject.algorithm())} + "-" + subject.hex().substr(0, 64);
}

std::string next_page(const std::string& link) {
    const std::size_t start = link.find('<');
    const std::size_t end = link.find('>', start);
    if (start == std::string::npos || end == std::string::npos ||
        (link.find("rel=\"next\"", end) == std::string::npos && link.find("rel=next", end) == std::string::npos))
        return {};
    std::string target = link.substr(start + 1, end - start - 1);
    if (const std::size_t api = target.find("/v2/"); api != std::string::npos)
        return target.substr(api + 4); // asked at the registry itself, wherever the link points
    return {};
}

Result<std::vector<std::string>> Repository::tags(const std::stop_token& stop) {
    std::vector<std::string> result;
    ApiRequest get = request("GET", "tags/list?n=1000");
    get.answer_limit = largest_list;
    const std::string what = "the tags of " + place();
    for (std::size_t page = 0; page < most_pages; ++page) {
        const Answer answer = TRY(session_->send(get, stop).context(what));
        if (answer.status != 200)
            return fail(session_->refusal(answer, what));
        const auto document = TRY(image::parse_json(answer.body, largest_list).context(what));
        const oci::Reader in = TRY(oci::Reader::root(document));
        for (auto& tag : TRY(in.strings("tags").context(what)))
            if (image::is_tag(tag))
                result.push_back(std::move(tag));
        if (result.size() > most_tags)
            return fail(bad_input(what + " are more than " + std::to_string(most_tags)));
        std::string next = next_page(answer.header("link"));
        if (!next.starts_with(name_ + "/tags/list?") || next == get.path)
            return result;
        get.path = std::move(next);
    }
    return fail(bad_input(what + " do not end"));
}

Result<std::vector<Descriptor>> Repository::referrers_by_tag(const image::Digest& subject,
                                                             const std::stop_token& stop) {
    const auto fetched = get_manifest(referrers_tag(subject), image::max_document_size, stop);
    if (!fetched && fetched.error().code == std::errc::no_such_file_or_directory)
        return std::vector<Descriptor>{};
    if (!fetched)
        return fail(fetched.error());
    const auto document = TRY(image::parse_document(fetched->text, fetched->descriptor.media_type));
    const auto* index = std::get_if<image::Index>(&document);
    return index == nullptr ? std::vector<Descriptor>{} : index->manifests;
}

Result<std::vector<Descriptor>> Repository::referrers(const image::Digest& subject, const std::string& artifact_type,
                                                      const std::stop_token& stop) {
    ApiRequest get = request("GET", "referrers/" + subject.text());
    get.headers.push_back("Accept: " + std::string{media::oci_index});
    const std::string what = "what refers to " + subject.text() + " in " + place();
    std::vector<Descriptor> found;
    for (std::size_t page = 0; page < most_pages; ++page) {
        const Answer answer = TRY(session_->send(get, stop).context(what));
        const auto document = answer.status == 200 ? image::parse_document(answer.body, content_type(answer))
                                                   : Result<image::Document>{fail(session_->refusal(answer, what))};
        const auto* index = document ? std::get_if<image::Index>(&*document) : nullptr;
        if (index == nullptr) {
            // A registry from before version 1.1 says 404, or something else that is no list.
            if (answer.status != 200 && answer.status != 404 && answer.status != 400 && answer.status != 405)
                return fail(document.error());
            found = TRY(referrers_by_tag(subject, stop));
            break;
        }
        found.insert(found.end(), index->manifests.begin(), index->manifests.end());
        std::string next = next_page(answer.header("link"));
        if (!next.starts_with(name_ + "/referrers/") || next == get.path)
            break;
        get.path = std::move(next);
    }
    if (!artifact_type.empty())
        std::erase_if(found, [&](const Descriptor& descriptor) { return descriptor.artifact_type != artifact_type; });
    return found;
}

} // namespace ctrd::registry
