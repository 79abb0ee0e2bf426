// How one registry wants to be asked: anonymously, with a password, or with tokens that its token server gives out for
// each scope. Tokens are kept and renewed; whatever a server says is checked before it becomes part of a request.
#pragma once

#include "ctrd/registry/challenge.hpp"
#include "ctrd/registry/credentials.hpp"
#include "ctrd/registry/http.hpp"

namespace ctrd::registry {

/// "repository:a/b:pull", one for each repository that a request is about.
using Scopes = std::vector<std::string>;

class Authorizer {
public:
    Authorizer(HttpPool& pool, std::optional<Credentials> credentials)
        : pool_{pool}, credentials_{std::move(credentials)} {}

    /// The value for "Authorization", as far as it is known already how to ask; or nothing.
    Result<std::optional<std::string>> header(const Scopes& scopes, const std::stop_token& stop);

    /// After a 401 for a request to `asked` that was sent with `sent` (or nothing): learns from it. False where asking
    /// again would be no use.
    Result<bool> learn(const Answer& refusal, const Url& asked, Reach reach, const Scopes& scopes,
                       const std::optional<std::string>& sent);

    [[nodiscard]] bool has_credentials() const noexcept { return credentials_.has_value(); }

private:
    using Clock = std::chrono::steady_clock;
    struct Token {
        std::string value{};
        Clock::time_point until{};
    };
    struct TokenServer {
        Url realm{};
        std::string service{};
        std::optional<Reach> sent_from{}; // nothing: it is the registry itself
    };
    Result<Token> fetch_token(const TokenServer& server, const Scopes& scopes, const std::stop_token& stop);
    [[nodiscard]] Exchange token_request(const TokenServer& server, const Scopes& scopes) const;
    Result<void> use_bearer(const Challenge& challenge, const Url& asked, Reach reach);
    [[nodiscard]] std::string basic() const;

    HttpPool& pool_;
    std::optional<Credentials> credentials_;
    std::mutex mutex_; // also over the fetching of a token: those who need the same one wait for it
    bool use_basic_{false};
    std::optional<TokenServer> server_{};
    std::map<std::string, Token> tokens_{};
};

/// A token server's answer: the token and for how many seconds it is good.
struct TokenAnswer {
    std::string token{};
    std::uint64_t seconds{0};
};
Result<TokenAnswer> parse_token_answer(std::string_view text);

} // namespace ctrd::registry
