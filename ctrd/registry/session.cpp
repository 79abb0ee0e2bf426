#include "ctrd/registry/session.hpp"

#include "ctrd/base/text.hpp"
#include "ctrd/image/json.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <condition_variable>
#include <ctime>
#include <random>

namespace ctrd::registry {
namespace {

bool is_redirect(long status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_busy(long status) {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

/// The codes and messages of the distribution specification's error answers.
std::string error_texts(const std::string& body) {
    const auto document = image::parse_json(body, 64U << 10);
    if (!document)
        return {};
    std::string text;
    const auto errors = document->find("errors");
    if (errors == document->end() || !errors->is_array())
        return {};
    for (const auto& error : *errors) {
        for (const char* name : {"code", "message"})
            if (const auto it = error.is_object() ? error.find(name) : error.end();
                it != error.end() && it->is_string())
                text += (text.empty() ? "" : ": ") + printable(it->get<std::string>().substr(0, 200));
        break; // the first says it
    }
    return text;
}

std::string host_part(const std::string& registry) {
    return registry.starts_with('[') ? registry.substr(0, registry.find(']') + 1)
                                     : registry.substr(0, registry.find(':'));
}

} // namespace

std::optional<Seconds> retry_after(const std::string& value) {
    if (const auto seconds = parse_number<unsigned>(value))
        return Seconds{*seconds};
    const time_t date = value.empty() ? -1 : ::curl_getdate(value.c_str(), nullptr);
    if (date < 0)
        return std::nullopt;
    return Seconds{static_cast<double>(std::max<time_t>(date - std::time(nullptr), 0))};
}

Session::Session(std::string name, Url base, bool insecure, std::optional<Credentials> credentials,
                 HttpSettings settings, TlsFiles tls)
    : name_{std::move(name)}, pool_{std::move(settings), std::move(tls), base.host, !insecure},
      authorizer_{pool_, std::move(credentials)}, base_{std::move(base)}, unsettled_{insecure} {}

Result<std::shared_ptr<Session>> Session::open(const std::string& registry, bool insecure,
                                               std::optional<Credentials> credentials,
                                               const SessionSettings& settings) {
    if (!image::is_registry(registry))
        return fail(bad_input("'" + printable(registry) + "' is no registry: write HOST or HOST:PORT"));
    Url base = TRY(parse_url("https://" + registry));
    const auto texts = settings.certificates ? TRY(settings.certificates(registry)) : CertificateTexts{};
    TlsFiles tls = TRY(make_tls(texts));
    return std::shared_ptr<Session>{
        new Session{registry, std::move(base), insecure, std::move(credentials), settings.http, std::move(tls)}};
}

Url Session::base() const {
    const std::scoped_lock lock{mutex_};
    return base_;
}

Reach Session::reach() const {
    const std::scoped_lock lock{mutex_};
    return reach_.value_or(reach_of(base_.host).value_or(Reach::global));
}

/// Whether an insecure registry speaks TLS is found out once, before anything is said to it.
Result<void> Session::settle_scheme(const std::stop_token& stop) {
    {
        const std::scoped_lock lock{mutex_};
        if (!unsettled_)
            return {};
    }
    Exchange probe;
    probe.method = "HEAD";
    probe.url = base();
    probe.url.path = "/v2/";
    const auto answer = pool_.perform(probe, stop);
    // A cut connection is no sign that there is no TLS: whoever can cut it would have us speak in the clear.
    if (!answer && (answer.error().code == std::errc::operation_canceled || is_temporary(answer.error())))
        return fail(answer.error());
    const std::scoped_lock lock{mutex_};
    if (!answer && unsettled_) {
        base_.scheme = "http";
        if (name_ == host_part(name_))
            base_.port = 80;
    }
    unsettled_ = false;
    return {};
}

/// One exchange with the registry itself, with what it wants of us; a second one where it has said what that is.
Result<Answer> Session::exchange_with_us(Exchange exchange, const Scopes& scopes, const std::stop_token& stop) {
    const auto plain = exchange.headers;
    for (bool again = true;; again = false) {
        const auto authorization = TRY(authorizer_.header(scopes, stop));
        exchange.headers = plain;
        if (authorization)
            exchange.headers.push_back("Authorization: " + *authorization);
        Answer answer = TRY(pool_.perform(exchange, stop));
        if (answer.reach) {
            const std::scoped_lock lock{mutex_};
            reach_ = answer.reach;
        }
        if (answer.status != 401 || !again)
            return answer;
        if (!TRY(authorizer_.learn(answer, exchange.url, reach(), scopes, authorization)) || exchange.upload)
            return answer;
    }
}

Result<Answer> Session::send_once(const ApiRequest& request, const std::stop_token& stop) {
    TRY_VOID(settle_scheme(stop));
    Exchange exchange{request.method,      {},
                      request.headers,     request.body,
                      request.upload,      request.upload_size,
                      request.streams,     request.stream,
                      request.answer_limit};
    exchange.url = request.url ? *request.url : TRY(parse_url(base().origin() + "/v2/" + request.path));
    const bool is_ours = exchange.url.origin() == base().origin();
    if (!is_ours)
        exchange.sent_from = reach();
    Answer answer =
        is_ours ? TRY(exchange_with_us(exchange, request.scopes, stop)) : TRY(pool_.perform(exchange, stop));
    if (!is_redirect(answer.status))
        return answer;
    if (request.method != "GET" && request.method != "HEAD")
        return fail(bad_input("'" + name_ + "' sends an upload on to somewhere else, which is not followed"));
    bool left = !is_ours;
    for (unsigned hop = 1; is_redirect(answer.status); ++hop) {
        if (hop > settings().redirects)
            return fail(Error{std::errc::too_many_symbolic_link_levels,
                              "'" + name_ + "' has redirected us " + std::to_string(hop - 1) + " times", ""});
        const Url next =
            TRY(resolve_url(exchange.url, answer.header("location")).context("a redirect of '" + name_ + "'"));
        if (exchange.url.is_secure() && !next.is_secure())
            return fail(Error{std::errc::permission_denied,
                              "'" + name_ + "' redirects us from https to '" + next.origin() + "' without TLS", ""});
        // Who has once sent us away from the registry does not decide what it is asked with our rights.
        left = left || next.origin() != base().origin();
        if (left)
            exchange.sent_from = reach();
        exchange.url = next;
        answer = left ? TRY(pool_.perform(exchange, stop)) : TRY(exchange_with_us(exchange, request.scopes, stop));
    }
    return answer;
}

Result<void> Session::wait_before(unsigned next, const Answer* answer, const std::stop_token& stop) const {
    static thread_local std::minstd_rand random{std::random_device{}()};
    Seconds wait = settings().back_off * (1U << std::min(next - 2, 6U));
    wait *= std::uniform_real_distribution<>{0.75,
                                             1.25}(random); // many machines that were refused do not come back at once
    if (const auto asked = answer == nullptr ? std::nullopt : retry_after(answer->header("retry-after"))) {
        if (*asked > settings().longest_wait)
            return fail(Error{std::errc::resource_unavailable_try_again,
                              "'" + name_ + "' wants to be left alone for " +
                                  std::to_string(static_cast<long>(asked->count())) + " s (rate limit)",
                              "try again later, or log in: 'ctrctl login " + name_ + "'"});
        wait = std::max(wait, *asked);
    }
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock{mutex};
    if (changed.wait_for(lock, stop, wait, [&] { return stop.stop_requested(); }) || stop.stop_requested())
        return fail(stopped());
    return {};
}

Result<Answer> Session::send(const ApiRequest& request, const std::stop_token& stop) {
    for (unsigned number = 1;; ++number) {
        auto answer = send_once(request, stop);
        const bool again = answer ? is_busy(answer->status) : is_temporary(answer.error());
        if (!again || !request.repeatable || number >= settings().tries)
            return answer;
        TRY_VOID(wait_before(number + 1, answer ? &*answer : nullptr, stop));
    }
}

Result<Url> Session::location(const Answer& answer) const {
    const Url from = base();
    const Url url = TRY(resolve_url(from, answer.header("location")).context("the upload's place at '" + name_ + "'"));
    if (from.is_secure() && !url.is_secure())
        return fail(Error{std::errc::permission_denied, "'" + name_ + "' wants the upload without TLS", ""});
    return url;
}

Error Session::refusal(const Answer& answer, const std::string& what) const {
    const std::string said = error_texts(answer.body);
    const std::string message = what + ": '" + name_ + "' answers " + (said.empty() ? "" : said + " ") + "(status " +
                                std::to_string(answer.status) + ")";
    if (answer.status == 401 || answer.status == 403)
        return {std::errc::permission_denied, message,
                authorizer_.has_credentials() ? "may this user do that?"
                                              : "log in first: 'ctrctl login " + name_ + "'"};
    if (answer.status == 404)
        return {std::errc::no_such_file_or_directory, message, ""};
    if (answer.status == 429)
        return {std::errc::resource_unavailable_try_again, message, "too many requests: try again later, or log in"};
    return {is_busy(answer.status) ? std::errc::resource_unavailable_try_again : std::errc::io_error, message, ""};
}

} // namespace ctrd::registry
