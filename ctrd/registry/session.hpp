// One registry, as its API is asked: with our credentials to it and to nobody else, over redirects, and again where
// that may help. Many threads may use a session at once.
#pragma once

#include "ctrd/registry/authorizer.hpp"

namespace ctrd::registry {

struct ApiRequest {
    std::string method{"GET"};
    std::string path{};       // below /v2/, with its query
    std::optional<Url> url{}; // instead: where an upload goes on
    std::vector<std::string> headers{};
    std::string body{};
    std::function<Result<std::size_t>(std::span<char>)> upload{};
    std::uint64_t upload_size{0};
    std::function<Result<bool>(const Answer&)> streams{};
    std::function<Result<void>(std::string_view)> stream{};
    std::size_t answer_limit{4U << 20};
    Scopes scopes{};
    bool repeatable{true}; // asking twice does no harm
};

/// What is the same for all registries that a process asks.
struct SessionSettings {
    HttpSettings http{};
    FindCertificates certificates{}; // nothing: the system's authorities alone
};

class Session {
public:
    /// `registry`: "host[:port]" as in references. `insecure`: without checking its certificate, or without TLS at all.
    static Result<std::shared_ptr<Session>> open(const std::string& registry, bool insecure,
                                                 std::optional<Credentials> credentials,
                                                 const SessionSettings& settings);

    /// The answer, whatever its status; what could be overcome (401, 429, 503, redirects, cut connections) has been.
    Result<Answer> send(const ApiRequest& request, const std::stop_token& stop);
    /// The same, once: for who keeps count of the tries.
    Result<Answer> send_once(const ApiRequest& request, const std::stop_token& stop);

    /// Waits before try number `next` (2, 3, ...): the usual time, or what the server has asked for. Fails where that
    /// is too long, and when it is stopped.
    Result<void> wait_before(unsigned next, const Answer* answer, const std::stop_token& stop) const;

    /// Where an upload goes on, by the Location of `answer` to a request for `asked`.
    Result<Url> location(const Answer& answer) const;
    /// What a status that is no success means, in words. `what` was to be done.
    [[nodiscard]] Error refusal(const Answer& answer, const std::string& what) const;

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const HttpSettings& settings() const noexcept { return pool_.settings(); }

private:
    Session(std::string name, Url base, bool insecure, std::optional<Credentials> credentials, HttpSettings settings,
            TlsFiles tls);
    Result<void> settle_scheme(const std::stop_token& stop);
    Result<Answer> exchange_with_us(Exchange exchange, const Scopes& scopes, const std::stop_token& stop);
    [[nodiscard]] Url base() const;
    [[nodiscard]] Reach reach() const;

    std::string name_;
    HttpPool pool_;
    Authorizer authorizer_;
    mutable std::mutex mutex_{};
    Url base_;
    bool unsettled_; // an insecure registry may have TLS or not
    std::optional<Reach> reach_{};
};

/// Seconds of a Retry-After header: a number, or a date. Nothing where it is neither.
std::optional<Seconds> retry_after(const std::string& value);

} // namespace ctrd::registry
