#include "tools/ctr-fetch/serve.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/worker_protocol.hpp"

#include <condition_variable>
#include <cstdlib>
#include <optional>
#include <thread>

namespace ctrd::fetching {
namespace {

using image::Json;
using registry::Descriptor;

constexpr std::size_t max_request = 65536;
constexpr unsigned at_a_time = 16;

/// So many threads at once.
class Slots {
public:
    void take() {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return used_ < at_a_time; });
        ++used_;
    }
    void give_back() {
        const std::lock_guard lock{mutex_};
        --used_;
        changed_.notify_one();
    }

private:
    std::mutex mutex_{};
    std::condition_variable changed_{};
    unsigned used_{0};
};

/// The image that this process is for.
class Server {
public:
    Server(registry::Client& client, const registry::FetchSettings& settings) : client_{client}, settings_{settings} {}

    /// One request, from its beginning to its end.
    void answer(const std::string& request, const UniqueFd& data, const UniqueFd& outcome) {
        auto answered = run(request, data.get());
        const Json json = answered ? *std::move(answered) : Json{{"error", imaging::to_json(answered.error())}};
        // If nobody is there to hear it, it was not wanted any more.
        [[maybe_unused]] const auto written =
            write_all(outcome.get(), json.dump(-1, ' ', false, Json::error_handler_t::replace));
    }

private:
    Result<Json> run(const std::string& request, int data) {
        const Json json = TRY(image::parse_json(request, max_request));
        const oci::Reader in = TRY(oci::Reader::root(json));
        const std::string what = TRY(in.required_string("get"));
        if (what == "top")
            return top(data);
        registry::Located& located = TRY(this->located());
        if (what == "tag") {
            registry::Reference reference = located.reference();
            reference.digest.reset();
            reference.tag = TRY(in.required_string("tag"));
            return document(TRY(located.repository().manifest(reference, {})), data);
        }
        const std::string digest = TRY(in.required_string("digest"));
        if (what == "referrers")
            return referrers(located.repository(), TRY(image::Digest::parse(digest)), TRY(in.string("artifact_type")),
                             data);
        const Descriptor wanted{TRY(in.string("type")), TRY(image::Digest::parse(digest)),
                                TRY(in.required_integer<std::uint64_t>("size"))};
        if (what == "manifest")
            return document(TRY(located.manifest(wanted, {})), data);
        if (what != "blob")
            return fail(bad_input("'" + printable(what) + "' is nothing that is fetched"));
        return blob(located, wanted, TRY(in.required_integer<std::uint64_t>("from")), data);
    }

    Result<Json> top(int data) {
        auto found = client_.locate(settings_.reference, {});
        if (!found)
            return fail(std::move(found).error());
        const std::lock_guard lock{mutex_};
        located_ = *std::move(found);
        Json json = TRY(document(located_->top(), data));
        json["name"] = located_->reference().text();
        json["from"] = located_->from();
        return json;
    }

    Result<std::reference_wrapper<registry::Located>> located() {
        const std::lock_guard lock{mutex_};
        return located_ ? Result<std::reference_wrapper<registry::Located>>{*located_}
                        : fail(bad_input("nothing was looked for yet"));
    }

    static Result<Json> document(const registry::Fetched& fetched, int data) {
        TRY_VOID(write_all(data, fetched.text));
        return Json{{"type", fetched.descriptor.media_type}};
    }

    static Result<Json> referrers(registry::Repository& repository, const image::Digest& subject,
                                  const std::string& artifact_type, int data) {
        const auto found = TRY(repository.referrers(subject, artifact_type, {}));
        const std::string text = image::to_json(image::Index{std::string{image::media::oci_index}, found});
        if (text.size() > image::max_document_size)
            return fail(bad_input("what refers to " + subject.text() + " is a list of " + std::to_string(text.size()) +
                                      " bytes, more than is taken",
                                  "ask for one type of them"));
        TRY_VOID(write_all(data, text));
        return Json::object();
    }

    /// Counted and not hashed: that is for who asked, and they have the beginning of it.
    static Result<Json> blob(registry::Located& located, const Descriptor& wanted, std::uint64_t from, int data) {
        if (from > wanted.size)
            return fail(bad_input("byte " + std::to_string(from) + " of a smaller blob"));
        auto progress = registry::BlobProgress::counted(wanted, from);
        TRY_VOID(located.fetch_blob(progress, [&](std::string_view bytes) { return write_all(data, bytes); }, {}));
        return Json::object();
    }

    registry::Client& client_;
    const registry::FetchSettings& settings_;
    std::mutex mutex_{};
    std::optional<registry::Located> located_{};
};

} // namespace

Result<void> serve(registry::Client& client, const registry::FetchSettings& settings, const UniqueFd& channel) {
    Server server{client, settings};
    Slots slots;
    for (;;) {
        auto message = receive_fds(channel.get(), max_request);
        // Whoever asked has gone, and nobody wants what is under way: threads that wait for a network are not waited
        // for.
        if (!message || message->data.empty())
            std::_Exit(0);
        if (message->fds.size() != 2)
            return fail(bad_input("a request brings two pipes"));
        slots.take();
        std::thread{[&server, &slots, message = *std::move(message)]() mutable {
            {
                UniqueFd data = std::move(message.fds[0]);
                UniqueFd outcome = std::move(message.fds[1]);
                server.answer(message.data, data, outcome);
            }
            slots.give_back();
        }}.detach();
    }
}

Result<void> log_in(registry::Client& client, const registry::FetchSettings& settings) {
    const auto& all = settings.credentials;
    if (all.size() != 1)
        return fail(bad_input("a log-in is with one user's name and password"));
    return client.try_login(settings.reference.registry, all.begin()->second, {});
}

} // namespace ctrd::fetching
