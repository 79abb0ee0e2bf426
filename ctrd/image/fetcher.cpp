#include "ctrd/image/fetcher.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/json.hpp"
#include "ctrd/image/worker_protocol.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

namespace ctrd::image {
namespace {

constexpr std::size_t max_outcome = 65536;
constexpr int pipe_size = 1 << 20; // what an unprivileged process may have

struct Pipe {
    UniqueFd read, write;
};

Result<Pipe> make_pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) < 0)
        return fail(os_error(errno, "cannot make a pipe"));
    return Pipe{UniqueFd{fds[0]}, UniqueFd{fds[1]}};
}

/// How a request ended, once its bytes have.
Result<Json> outcome(int pipe) {
    const std::string text = TRY(read_all(pipe, max_outcome));
    if (text.empty())
        return fail(Error{std::errc::operation_canceled, "the process that fetches has ended"});
    Json json = TRY(parse_json(text, max_outcome).context("the answer of the process that fetches"));
    if (const auto error = json.find("error"); error != json.end())
        return fail(imaging::error_from(*error));
    return json;
}

struct Asked {
    UniqueFd data, outcome;
};

Result<Asked> ask(int socket, const Json& request) {
    Pipe data = TRY(make_pipe());
    Pipe end = TRY(make_pipe());
    ::fcntl(data.write.get(), F_SETPIPE_SZ, pipe_size); // a smaller one will do, too
    const int fds[] = {data.write.get(), end.write.get()};
    if (!send_fds(socket, request.dump(-1, ' ', false, Json::error_handler_t::replace), fds))
        return fail(Error{std::errc::operation_canceled, "the process that fetches has ended"});
    return Asked{std::move(data.read), std::move(end.read)};
}

Result<FetchedDocument> ask_document(int socket, const Json& request) {
    Asked asked = TRY(ask(socket, request));
    auto text = read_all(asked.data.get(), max_document_size);
    asked.data = UniqueFd{}; // what is left of one that is too large is not waited for
    const Json json = TRY(outcome(asked.outcome.get()));
    const oci::Reader reader = TRY(oci::Reader::root(json));
    return FetchedDocument{TRY(std::move(text)), TRY(plain_string(reader, "type")), TRY(plain_string(reader, "name")),
                           TRY(plain_string(reader, "from"))};
}

Json request_for(const char* what, const Descriptor& descriptor) {
    return {{"get", what},
            {"digest", descriptor.digest.text()},
            {"size", descriptor.size},
            {"type", descriptor.media_type}};
}

} // namespace

Result<FetchedDocument> Fetcher::top() const { return ask_document(socket_.get(), {{"get", "top"}}); }

Result<FetchedDocument> Fetcher::manifest(const Descriptor& descriptor) const {
    return ask_document(socket_.get(), request_for("manifest", descriptor));
}

Result<FetchedDocument> Fetcher::tag(const std::string& tag) const {
    return ask_document(socket_.get(), {{"get", "tag"}, {"tag", tag}});
}

Result<std::vector<Descriptor>> Fetcher::referrers(const Digest& subject, const std::string& artifact_type) const {
    const auto fetched = TRY(ask_document(
        socket_.get(), {{"get", "referrers"}, {"digest", subject.text()}, {"artifact_type", artifact_type}}));
    const std::string what = "what refers to '" + subject.text() + "'";
    Document document = TRY(parse_document(fetched.text, media::oci_index).context(what));
    auto* index = std::get_if<Index>(&document);
    if (index == nullptr)
        return fail(bad_input(what + " is no list"));
    // Filtered again: who has asked for one type does not get another one.
    if (!artifact_type.empty())
        std::erase_if(index->manifests, [&](const Descriptor& one) { return one.artifact_type != artifact_type; });
    return std::move(index->manifests);
}

Result<std::string> Fetcher::document(const Descriptor& descriptor) const {
    if (descriptor.size > max_document_size)
        return fail(bad_input("'" + descriptor.digest.text() + "' has " + std::to_string(descriptor.size) +
                              " bytes, more than any such document"));
    LayerInput input = TRY(blob(descriptor, 0));
    auto text = read_all(input.file.get(), max_document_size);
    input.file = UniqueFd{};
    TRY_VOID(input.ended());
    std::string whole = TRY(std::move(text));
    if (whole.size() != descriptor.size || digest_of(whole, descriptor.digest.algorithm()) != descriptor.digest)
        return fail(bad_input("'" + descriptor.digest.text() + "' is something else",
                              "it was damaged or exchanged on its way"));
    return whole;
}

Result<LayerInput> Fetcher::blob(const Descriptor& descriptor, std::uint64_t from) const {
    Json request = request_for("blob", descriptor);
    request["from"] = from;
    Asked asked = TRY(ask(socket_.get(), request));
    LayerInput input{std::move(asked.data)};
    const auto end = std::make_shared<UniqueFd>(std::move(asked.outcome));
    input.ended = [end]() -> Result<void> {
        TRY(outcome(end->get()));
        return {};
    };
    return input;
}

void Fetcher::stop() const { ::shutdown(socket_.get(), SHUT_RDWR); }

} // namespace ctrd::image
