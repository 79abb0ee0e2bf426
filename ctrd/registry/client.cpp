#include "ctrd/registry/client.hpp"

#include "ctrd/base/base64.hpp"

namespace ctrd::registry {
namespace {

/// Why each place did not do, in the order in which they were asked. The last one is the image's own: its code counts.
class Refusals {
public:
    void add(const std::string& place, Error error) {
        if (error.code == std::errc::operation_canceled)
            canceled_ = true;
        messages_ += (messages_.empty() ? "" : "; ") + (count_ == 0 && !several_ ? "" : place + ": ") + error.message;
        last_ = std::move(error);
        ++count_;
    }
    void expect_several() { several_ = true; }
    [[nodiscard]] bool canceled() const { return canceled_; }
    [[nodiscard]] Error error() const { return {last_.code, messages_, last_.hint}; }

private:
    std::string messages_{};
    Error last_{};
    std::size_t count_{0};
    bool several_{false};
    bool canceled_{false};
};

/// What another place may do better: not what we have stopped ourselves.
template <class Ask> auto ask_each(std::vector<Repository>& places, Ask ask) -> decltype(ask(places.front())) {
    Refusals refusals;
    if (places.size() > 1)
        refusals.expect_several();
    for (auto& place : places) {
        auto result = ask(place);
        if (result)
            return result;
        refusals.add(place.registry(), result.error());
        if (refusals.canceled())
            break;
    }
    return fail(refusals.error());
}

} // namespace

Result<Fetched> Located::manifest(const Descriptor& descriptor, const std::stop_token& stop) {
    return ask_each(places_, [&](Repository& place) { return place.manifest(descriptor, stop); });
}

Result<std::string> Located::small_blob(const Descriptor& descriptor, std::size_t limit, const std::stop_token& stop) {
    return ask_each(places_, [&](Repository& place) { return place.small_blob(descriptor, limit, stop); });
}

Result<void> Located::fetch_blob(BlobProgress& progress, const Sink& sink, const std::stop_token& stop) {
    bool sink_failed = false;
    const Sink watched = [&](std::string_view data) -> Result<void> {
        auto taken = sink(data);
        sink_failed = !taken;
        return taken;
    };
    std::optional<Error> spoiled; // once all bytes are there and wrong, no other place can put them right
    return ask_each(places_, [&](Repository& place) -> Result<void> {
        if (spoiled)
            return fail(*spoiled);
        auto fetched = place.fetch_blob(progress, watched, stop);
        if (!fetched && (sink_failed || progress.left() == 0))
            spoiled = fetched.error();
        return fetched;
    });
}

Result<std::shared_ptr<Session>> Client::session(const Endpoint& endpoint) {
    std::optional<Credentials> credentials;
    if (settings_.credentials)
        credentials = TRY(settings_.credentials(endpoint.reference));
    const std::string key = endpoint.reference.registry + (endpoint.insecure ? " insecure " : " ") +
                            (credentials ? to_base64(credentials->username) + ":" + to_base64(credentials->password) +
                                               ":" + to_base64(credentials->identity_token)
                                         : "");
    const std::scoped_lock lock{mutex_};
    if (const auto known = sessions_.find(key); known != sessions_.end())
        return known->second;
    auto opened =
        TRY(Session::open(endpoint.reference.registry, endpoint.insecure, std::move(credentials), settings_.session));
    sessions_.emplace(key, opened);
    return opened;
}

Result<Located> Client::locate_one(const Reference& reference, const std::stop_token& stop) {
    const auto endpoints = TRY(settings_.registries.pull_endpoints(reference));
    std::vector<Repository> places;
    Refusals refusals;
    if (endpoints.size() > 1)
        refusals.expect_several();
    for (const auto& endpoint : endpoints) {
        auto opened = session(endpoint);
        if (opened)
            places.emplace_back(*std::move(opened), endpoint.reference.repository);
        else
            refusals.add(endpoint.reference.registry, std::move(opened).error());
    }
    for (std::size_t i = 0; i < places.size() && !refusals.canceled(); ++i) {
        auto top = places[i].manifest(reference, stop);
        if (top)
            return Located{reference, *std::move(top), {places.begin() + static_cast<std::ptrdiff_t>(i), places.end()}};
        refusals.add(places[i].registry(), std::move(top).error());
    }
    return fail(refusals.error());
}

Result<Located> Client::locate(const Reference& reference, const std::stop_token& stop) {
    const auto candidates = TRY(settings_.registries.candidates(reference));
    Refusals refusals;
    if (candidates.size() > 1)
        refusals.expect_several();
    for (const auto& candidate : candidates) {
        auto located = locate_one(candidate, stop);
        if (located)
            return located;
        refusals.add(candidate.name(), std::move(located).error());
        if (refusals.canceled())
            break;
    }
    return fail(refusals.error());
}

Result<Repository> Client::repository(const Reference& reference, bool for_push) {
    if (reference.is_short())
        return fail(bad_input("'" + reference.text() + "' does not say which registry is meant",
                              "write it as REGISTRY/" + reference.text()));
    const Endpoint endpoint = TRY(settings_.registries.push_endpoint(reference));
    return Repository{TRY(session(endpoint)), endpoint.reference.repository, for_push};
}

Result<void> Client::try_login(const std::string& registry, const Credentials& credentials,
                               const std::stop_token& stop) {
    const Endpoint endpoint = TRY(settings_.registries.push_endpoint(Reference{registry, "a"}));
    auto opened = TRY(Session::open(endpoint.reference.registry, endpoint.insecure, credentials, settings_.session));
    ApiRequest get;
    const Answer answer = TRY(opened->send(get, stop));
    if (answer.status == 200)
        return {};
    Error error = opened->refusal(answer, "cannot log in");
    if (answer.status == 404)
        error.hint = "is '" + registry + "' a registry?";
    return fail(std::move(error));
}

} // namespace ctrd::registry
