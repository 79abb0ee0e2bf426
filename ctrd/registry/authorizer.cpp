#include "ctrd/registry/authorizer.hpp"

#include "ctrd/base/base64.hpp"
#include "ctrd/image/json.hpp"

#include <algorithm>

namespace ctrd::registry {
namespace {

constexpr std::size_t longest_token = 32U << 10;
constexpr std::size_t longest_token_answer = 256U << 10;
constexpr std::uint64_t default_life = 60;        // as the token specification has it
constexpr std::uint64_t longest_life = 24 * 3600; // more is asked for again: a key may have been taken back
constexpr std::chrono::seconds margin{10};        // a token that ends under way is of no use

std::string joined(const Scopes& scopes) {
    std::string text;
    for (const auto& scope : scopes)
        text += (text.empty() ? "" : " ") + scope;
    return text;
}

bool is_token(std::string_view text) {
    return !text.empty() && text.size() <= longest_token &&
           std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

std::vector<std::pair<std::string, std::string>> token_values(const std::string& service, const Scopes& scopes) {
    std::vector<std::pair<std::string, std::string>> values;
    if (!service.empty())
        values.emplace_back("service", service);
    for (const auto& scope : scopes)
        values.emplace_back("scope", scope);
    return values;
}

std::string form(const std::vector<std::pair<std::string, std::string>>& values) {
    std::string text;
    for (const auto& [name, value] : values)
        text += (text.empty() ? "" : "&") + name + "=" + encoded(value);
    return text;
}

} // namespace

Result<TokenAnswer> parse_token_answer(std::string_view text) {
    const image::Json document = TRY(image::parse_json(text, longest_token_answer));
    const oci::Reader in = TRY(oci::Reader::root(document));
    TokenAnswer answer;
    answer.token = TRY(in.string("token"));
    if (answer.token.empty())
        answer.token = TRY(in.string("access_token"));
    if (!is_token(answer.token))
        return fail(bad_input("it holds no token, or one that no header can carry"));
    const auto seconds = TRY(in.integer<std::uint64_t>("expires_in"));
    answer.seconds = std::clamp(seconds.value_or(default_life), default_life, longest_life);
    return answer;
}

std::string Authorizer::basic() const {
    return "Basic " + to_base64(credentials_->username + ":" + credentials_->password);
}

Exchange Authorizer::token_request(const TokenServer& server, const Scopes& scopes) const {
    Exchange request;
    request.url = server.realm;
    request.sent_from = server.sent_from;
    request.answer_limit = longest_token_answer;
    request.headers.emplace_back("Accept: application/json");
    auto values = token_values(server.service, scopes);
    if (credentials_ && !credentials_->identity_token.empty()) {
        request.method = "POST";
        request.headers.emplace_back("Content-Type: application/x-www-form-urlencoded");
        std::string all = joined(scopes);
        request.body = form({{"grant_type", "refresh_token"},
                             {"service", server.service},
                             {"client_id", "ctrd"},
                             {"scope", all},
                             {"refresh_token", credentials_->identity_token}});
        return request;
    }
    if (credentials_) {
        values.emplace_back("account", credentials_->username);
        request.headers.push_back("Authorization: " + basic());
    }
    request.url = with_query(server.realm, values);
    return request;
}

Result<Authorizer::Token> Authorizer::fetch_token(const TokenServer& server, const Scopes& scopes,
                                                  const std::stop_token& stop) {
    const std::string who = "the token server '" + server.realm.origin() + "'";
    const Answer answer = TRY(pool_.perform(token_request(server, scopes), stop).context(who));
    if (answer.status == 401 || answer.status == 403)
        return fail(Error{std::errc::permission_denied,
                          who + " refuses " + (credentials_ ? "our user name and password" : "us without a password"),
                          ""});
    if (answer.status >= 300 && answer.status < 400)
        return fail(bad_input(who + " sends us on to somewhere else, where a password should not go"));
    if (answer.status == 429 || answer.status >= 500)
        return fail(Error{std::errc::resource_unavailable_try_again,
                          who + " is busy (status " + std::to_string(answer.status) + ")", ""});
    if (answer.status != 200)
        return fail(bad_input(who + " answers with status " + std::to_string(answer.status)));
    const TokenAnswer token = TRY(parse_token_answer(answer.body).context("the answer of " + who));
    return Token{"Bearer " + token.token, Clock::now() + std::chrono::seconds{token.seconds} - margin};
}

Result<std::optional<std::string>> Authorizer::header(const Scopes& scopes, const std::stop_token& stop) {
    const std::scoped_lock lock{mutex_};
    if (use_basic_)
        return std::optional{basic()};
    if (!server_)
        return std::optional<std::string>{};
    const std::string key = joined(scopes);
    auto known = tokens_.find(key);
    if (known == tokens_.end() || known->second.until <= Clock::now())
        known = tokens_.insert_or_assign(key, TRY(fetch_token(*server_, scopes, stop))).first;
    return std::optional{known->second.value};
}

Result<void> Authorizer::use_bearer(const Challenge& challenge, const Url& asked, Reach reach) {
    TokenServer server;
    server.realm = TRY(parse_url(challenge.value("realm")).context("the registry's token server (realm)"));
    server.service = challenge.value("service");
    if (!server.realm.is_secure() && asked.is_secure())
        return fail(Error{std::errc::permission_denied,
                          "the registry wants our password sent unencrypted to '" + server.realm.origin() + "'", ""});
    if (server.realm.origin() != asked.origin())
        server.sent_from = reach;
    server_ = std::move(server);
    use_basic_ = false;
    return {};
}

Result<bool> Authorizer::learn(const Answer& refusal, const Url& asked, Reach reach, const Scopes& scopes,
                               const std::optional<std::string>& sent) {
    const std::scoped_lock lock{mutex_};
    std::vector<Challenge> challenges;
    const auto [first, last] = refusal.headers.equal_range("www-authenticate");
    for (auto it = first; it != last; ++it)
        for (auto& challenge : TRY(parse_challenges(it->second)))
            challenges.push_back(std::move(challenge));
    const auto bearer = std::ranges::find(challenges, "bearer", &Challenge::scheme);
    if (bearer != challenges.end()) {
        // A token that was good may have ended; one that is fresh from the server will not become better.
        const auto known = tokens_.find(joined(scopes));
        const bool was_ours = sent && known != tokens_.end() && known->second.value == *sent;
        if (was_ours)
            tokens_.erase(known);
        TRY_VOID(use_bearer(*bearer, asked, reach));
        return true;
    }
    const bool offers_basic = std::ranges::find(challenges, "basic", &Challenge::scheme) != challenges.end();
    if (!offers_basic || !credentials_ || !credentials_->identity_token.empty() || sent)
        return false;
    use_basic_ = true;
    return true;
}

} // namespace ctrd::registry
