#include "ctrd/registry/http.hpp"

#include "ctrd/registry/http_transfer.hpp"

#include <openssl/ssl.h>

#include <array>
#include <cstdlib>

namespace ctrd::registry {
namespace {

constexpr std::size_t most_idle = 16;

struct FreeList {
    void operator()(curl_slist* list) const noexcept { ::curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

void start_libcurl() {
    static const bool started = ::curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    static_cast<void>(started); // without it curl_easy_init fails, and says so
}

/// The authorities that are ours to choose. libcurl would read the system's whole bundle for each connection.
CURLcode use_authorities(CURL*, void* context, void* store) {
    ::SSL_CTX_set1_cert_store(static_cast<SSL_CTX*>(context), static_cast<X509_STORE*>(store));
    return CURLE_OK;
}

/// Whether the environment, which libcurl obeys, may have a proxy for us.
bool has_proxy() {
    for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})
        if (const char* value = std::getenv(name); value != nullptr && *value != '\0')
            return true;
    return false;
}

Result<HeaderList> header_list(const Exchange& exchange) {
    HeaderList list;
    const auto append = [&](const std::string& line) {
        curl_slist* longer = ::curl_slist_append(list.get(), line.c_str());
        if (longer != nullptr) {
            static_cast<void>(list.release());
            list.reset(longer);
        }
    };
    for (const auto& line : exchange.headers) {
        // The last gate: whatever a value was made of, it is one line of one request.
        if (line.find_first_of(std::string_view{"\r\n\0", 3}) != std::string::npos)
            return fail(bad_input("a request's header would hold a line break"));
        append(line);
    }
    append("Expect:"); // no second round trip before an upload
    if (!exchange.body.empty() || exchange.upload)
        append("Transfer-Encoding:");
    return list;
}

void set_method(CURL* handle, const Exchange& exchange) {
    if (exchange.upload) {
        ::curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
        ::curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(exchange.upload_size));
    } else if (exchange.method == "HEAD") {
        ::curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
    } else if (exchange.method != "GET" && exchange.method != "DELETE") {
        ::curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(exchange.body.size()));
        ::curl_easy_setopt(handle, CURLOPT_POSTFIELDS, exchange.body.data());
    }
    if (exchange.method != "GET" && exchange.method != "HEAD")
        ::curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, exchange.method.c_str());
}

void set_limits(CURL* handle, const Exchange& exchange, const HttpSettings& settings) {
    const auto milliseconds = [](Seconds time) { return static_cast<long>(time.count() * 1000); };
    ::curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    ::curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    ::curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    ::curl_easy_setopt(handle, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    // Streams over one connection would wait for each other; parallel exchanges have one each.
    ::curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    ::curl_easy_setopt(handle, CURLOPT_HTTP09_ALLOWED, 0L);
    ::curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 128L << 10);
    ::curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(settings.connect_timeout));
    if (!exchange.streams && !exchange.upload)
        ::curl_easy_setopt(
            handle, CURLOPT_TIMEOUT_MS,
            milliseconds(exchange.method == "PUT" ? settings.commit_timeout : settings.document_timeout));
    ::curl_easy_setopt(handle, CURLOPT_USERAGENT, settings.user_agent.c_str());
}

void set_blob(CURL* handle, CURLoption option, const std::string& pem) {
    curl_blob blob{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_COPY};
    ::curl_easy_setopt(handle, option, &blob);
}

void set_tls(CURL* handle, const TlsFiles& tls, bool verify, bool show_certificate) {
    ::curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    ::curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
    ::curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
    ::curl_easy_setopt(handle, CURLOPT_CAINFO, nullptr);
    ::curl_easy_setopt(handle, CURLOPT_CAPATH, nullptr);
    ::curl_easy_setopt(handle, CURLOPT_SSL_CTX_FUNCTION, &use_authorities);
    ::curl_easy_setopt(handle, CURLOPT_SSL_CTX_DATA, tls.authorities.get());
    if (show_certificate && !tls.certificate.empty()) {
        set_blob(handle, CURLOPT_SSLCERT_BLOB, tls.certificate);
        set_blob(handle, CURLOPT_SSLKEY_BLOB, tls.key);
    }
}

} // namespace

std::string Answer::header(const std::string& name) const {
    const auto it = headers.lower_bound(name);
    return it == headers.end() || it->first != name ? std::string{} : it->second;
}

void HttpPool::FreeHandle::operator()(void* handle) const noexcept { ::curl_easy_cleanup(handle); }

HttpPool::HttpPool(HttpSettings settings, TlsFiles tls, std::string host, bool verify)
    : settings_{std::move(settings)}, tls_{std::move(tls)}, host_{std::move(host)}, verify_{verify}, proxied_{
                                                                                                         has_proxy()} {
    start_libcurl();
}

HttpPool::~HttpPool() = default;

Result<HttpPool::Handle> HttpPool::take(const std::string& origin) {
    {
        const std::scoped_lock lock{mutex_};
        if (const auto it = idle_.find(origin); it != idle_.end()) {
            Handle handle = std::move(it->second);
            idle_.erase(it);
            return handle;
        }
    }
    Handle handle{::curl_easy_init()};
    if (!handle)
        return fail(Error{std::errc::not_enough_memory, "cannot start libcurl", ""});
    return handle;
}

void HttpPool::give_back(const std::string& origin, Handle handle) {
    ::curl_easy_reset(handle.get()); // forgets everything but its connections
    const std::scoped_lock lock{mutex_};
    if (idle_.size() < most_idle)
        idle_.emplace(origin, std::move(handle));
}

Result<Answer> HttpPool::perform(const Exchange& exchange, const std::stop_token& stop) {
    if (stop.stop_requested())
        return fail(stopped());
    // What connects for us may be a proxy; a literal address can be judged even so.
    if (const auto reach = reach_of(exchange.url.host);
        exchange.sent_from && reach && !may_lead(*exchange.sent_from, *reach))
        return fail(Error{std::errc::permission_denied,
                          "the registry sends us to '" + exchange.url.origin() + "', which is on " +
                              std::string{to_string(*reach)},
                          ""});
    const std::string origin = exchange.url.origin();
    Handle handle = TRY(take(origin));
    const HeaderList headers = TRY(header_list(exchange));
    std::array<char, CURL_ERROR_SIZE> detail{};
    Transfer transfer{exchange, settings_, proxied_, stop};
    const std::string url = exchange.url.text();
    ::curl_easy_setopt(handle.get(), CURLOPT_URL, url.c_str());
    ::curl_easy_setopt(handle.get(), CURLOPT_PATH_AS_IS, 1L);
    ::curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
    ::curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, detail.data());
    set_limits(handle.get(), exchange, settings_);
    set_tls(handle.get(), tls_, verify_, exchange.url.host == host_);
    set_method(handle.get(), exchange);
    transfer.attach(handle.get());
    const CURLcode code = ::curl_easy_perform(handle.get());
    auto answer = transfer.finish(code, detail.data());
    give_back(origin, std::move(handle));
    return answer;
}

bool is_temporary(const Error& error) noexcept {
    return error.code == std::errc::timed_out || error.code == std::errc::connection_reset ||
           error.code == std::errc::resource_unavailable_try_again;
}

Error stopped() { return {std::errc::operation_canceled, "stopped", ""}; }

} // namespace ctrd::registry
