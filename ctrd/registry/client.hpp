// The registries as a whole: what an image's name means, where it is, and who answers for it. What a program that pulls
// or pushes begins with.
#pragma once

#include "ctrd/registry/registries_conf.hpp"
#include "ctrd/registry/repository.hpp"

namespace ctrd::registry {

struct ClientSettings {
    RegistriesConf registries{};
    FindCredentials credentials{}; // nothing: anonymous
    SessionSettings session{};
};

/// An image that has been found: its manifest or index, and everywhere that the rest of it may come from.
class Located {
public:
    Located(Reference reference, Fetched top, std::vector<Repository> places)
        : reference_{std::move(reference)}, top_{std::move(top)}, places_{std::move(places)} {}

    [[nodiscard]] const Reference& reference() const noexcept { return reference_; } // complete, before any mirror
    [[nodiscard]] const Fetched& top() const noexcept { return top_; }
    /// "mirror.example.org/a/b": who has answered.
    [[nodiscard]] std::string from() const { return places_.front().registry() + "/" + places_.front().name(); }
    [[nodiscard]] Repository& repository() { return places_.front(); }

    /// From the place that has answered first; what is missing or broken there, from the others.
    Result<Fetched> manifest(const Descriptor& descriptor, const std::stop_token& stop);
    Result<void> fetch_blob(BlobProgress& progress, const Sink& sink, const std::stop_token& stop);
    Result<std::string> small_blob(const Descriptor& descriptor, std::size_t limit, const std::stop_token& stop);

private:
    Reference reference_;
    Fetched top_;
    std::vector<Repository> places_; // the one that has answered, then those that were not asked
};

class Client {
public:
    explicit Client(ClientSettings settings) : settings_{std::move(settings)} {}

    /// Finds an image by asking for its manifest: what a short name may mean, each in its mirrors and in its own place,
    /// in this order. An error names all that were asked.
    Result<Located> locate(const Reference& reference, const std::stop_token& stop);
    /// Where to push to, list tags, or look for signatures.
    Result<Repository> repository(const Reference& reference, bool for_push);
    /// Whether the registry takes these credentials: its "/v2/" is asked.
    Result<void> try_login(const std::string& registry, const Credentials& credentials, const std::stop_token& stop);

    [[nodiscard]] const RegistriesConf& registries() const noexcept { return settings_.registries; }

private:
    Result<std::shared_ptr<Session>> session(const Endpoint& endpoint);
    Result<Located> locate_one(const Reference& reference, const std::stop_token& stop);

    ClientSettings settings_;
    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<Session>> sessions_; // by registry and all of who we are there
};

} // namespace ctrd::registry
