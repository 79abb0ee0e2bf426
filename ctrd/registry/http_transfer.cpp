#include "ctrd/registry/http_transfer.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace ctrd::registry {
namespace {

constexpr std::size_t most_header_bytes = 64U << 10;
constexpr std::size_t most_error_text = 16U << 10;

std::string lower(std::string_view text) {
    std::string result{text};
    std::ranges::transform(result, result.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return result;
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    const auto last = text.find_last_not_of(" \t\r\n");
    return first == std::string_view::npos ? std::string_view{} : text.substr(first, last - first + 1);
}

} // namespace

void Transfer::attach(CURL* handle) {
    ::curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    ::curl_easy_setopt(handle, CURLOPT_HEADERDATA, this);
    ::curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    ::curl_easy_setopt(handle, CURLOPT_WRITEDATA, this);
    ::curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
    ::curl_easy_setopt(handle, CURLOPT_XFERINFODATA, this);
    ::curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    ::curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, &Transfer::on_socket);
    ::curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, this);
    if (exchange_.upload) {
        ::curl_easy_setopt(handle, CURLOPT_READFUNCTION, &Transfer::on_upload);
        ::curl_easy_setopt(handle, CURLOPT_READDATA, this);
        ::curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, &Transfer::on_seek);
        ::curl_easy_setopt(handle, CURLOPT_SEEKDATA, this);
    }
}

std::size_t Transfer::on_header(const char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (auto taken = transfer.take_header({data, size * count}); !taken) {
        transfer.error_ = std::move(taken).error();
        return 0;
    }
    return size * count;
}

Result<void> Transfer::take_header(std::string_view line) {
    header_bytes_ += line.size();
    if (header_bytes_ > most_header_bytes)
        return fail(bad_input("'" + exchange_.url.origin() + "' answers with a header of more than " +
                              std::to_string(most_header_bytes) + " bytes"));
    if (line.starts_with("HTTP/")) { // also after a "100 Continue", or a proxy's own answer
        answer_.headers.clear();
        const std::size_t space = line.find(' ');
        const auto number = space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
        answer_.status = 0;
        std::from_chars(number.data(), number.data() + number.size(), answer_.status);
        return {};
    }
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos)
        answer_.headers.emplace(lower(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
    return {};
}

std::size_t Transfer::on_body(const char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const auto before = Clock::now();
    auto taken = transfer.take_body({data, size * count});
    transfer.elsewhere_ += Clock::now() - before;
    if (taken && !transfer.enough_)
        return size * count;
    if (!taken)
        transfer.error_ = std::move(taken).error();
    return 0;
}

Result<void> Transfer::take_body(std::string_view data) {
    if (!streaming_)
        streaming_ = exchange_.streams ? TRY(exchange_.streams(answer_)) : false;
    if (*streaming_)
        return exchange_.stream(data);
    if (answer_.status >= 300) {
        answer_.body += data.substr(0, most_error_text - std::min(answer_.body.size(), most_error_text));
        enough_ = answer_.body.size() >= most_error_text;
        return {};
    }
    if (answer_.body.size() + data.size() > exchange_.answer_limit)
        return fail(Error{std::errc::file_too_large,
                          "'" + exchange_.url.origin() + "' answers with more than the " +
                              std::to_string(exchange_.answer_limit) + " bytes that are allowed here",
                          ""});
    answer_.body += data;
    return {};
}

std::size_t Transfer::on_upload(char* buffer, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const auto before = Clock::now();
    auto read = transfer.exchange_.upload({buffer, size * count});
    transfer.elsewhere_ += Clock::now() - before;
    if (read)
        return *read;
    transfer.error_ = std::move(read).error();
    return CURL_READFUNC_ABORT;
}

int Transfer::on_seek(void*, curl_off_t, int) { return CURL_SEEKFUNC_FAIL; } // whoever retries begins anew

int Transfer::on_progress(void* self, curl_off_t, curl_off_t down, curl_off_t, curl_off_t up) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (transfer.stop_.stop_requested()) {
        transfer.error_ = stopped();
        return 1;
    }
    if (transfer.is_stalled(static_cast<std::uint64_t>(down), static_cast<std::uint64_t>(up))) {
        transfer.error_ = Error{std::errc::timed_out,
                                "'" + transfer.exchange_.url.origin() + "' is too slow: less than " +
                                    std::to_string(transfer.settings_.stall_speed) + " bytes a second",
                                ""};
        return 1;
    }
    return 0;
}

Seconds Transfer::patience(std::uint64_t down, std::uint64_t up) const {
    const bool sends = exchange_.method == "PUT" || exchange_.method == "PATCH";
    const std::uint64_t all = exchange_.upload ? exchange_.upload_size : exchange_.body.size();
    return sends && down == 0 && up >= all ? settings_.commit_timeout : settings_.stall_time;
}

bool Transfer::is_stalled(std::uint64_t down, std::uint64_t up) {
    const std::uint64_t bytes = down + up;
    // libcurl's own limit would take a slow disk of ours for a slow server.
    const Seconds waited = Clock::now() - window_start_ - elsewhere_;
    if (waited < patience(down, up))
        return false;
    const auto moved = static_cast<double>(bytes - std::min(bytes, window_bytes_));
    const bool stalled = moved < static_cast<double>(settings_.stall_speed) * waited.count();
    window_start_ = Clock::now();
    elsewhere_ = {};
    window_bytes_ = bytes;
    return stalled;
}

curl_socket_t Transfer::on_socket(void* self, curlsocktype, curl_sockaddr* address) {
    auto& transfer = *static_cast<Transfer*>(self);
    const Reach reach = reach_of(address->addr);
    // This is what the resolver has answered: a name that leads elsewhere the next time it is asked is no way round.
    if (const auto from = transfer.exchange_.sent_from; from && !transfer.proxied_ && !may_lead(*from, reach)) {
        transfer.error_ = Error{std::errc::permission_denied,
                                "the registry sends us to '" + transfer.exchange_.url.origin() + "', which is on " +
                                    std::string{to_string(reach)},
                                ""};
        return CURL_SOCKET_BAD;
    }
    if (!transfer.proxied_)
        transfer.answer_.reach = reach;
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

Result<Answer> Transfer::finish(CURLcode code, const char* detail) {
    if (error_)
        return fail(*std::move(error_));
    if (code != CURLE_OK && !enough_)
        return fail(explain(code, detail));
    if (!streaming_ && exchange_.streams && answer_.status != 0)
        streaming_ = TRY(exchange_.streams(answer_)); // an empty body: who wanted it must know
    return std::move(answer_);
}

Error Transfer::explain(CURLcode code, std::string_view detail) const {
    const std::string host = exchange_.url.origin();
    const std::string why = printable(detail.empty() ? ::curl_easy_strerror(code) : detail.substr(0, 300));
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return {std::errc::host_unreachable, "cannot find '" + host + "': " + why,
                "is the network up, and the name right?"};
    case CURLE_COULDNT_CONNECT:
        return {std::errc::connection_refused, "cannot connect to '" + host + "': " + why, ""};
    case CURLE_OPERATION_TIMEDOUT:
        return {std::errc::timed_out, "'" + host + "' does not answer in time: " + why, ""};
    case CURLE_PEER_FAILED_VERIFICATION:
        return {std::errc::permission_denied, "the certificate of '" + host + "' is not trusted: " + why,
                "put its authority into /etc/containers/certs.d/HOST[:PORT]/ca.crt"};
    case CURLE_SSL_CONNECT_ERROR:
        return {std::errc::protocol_error, "cannot agree on TLS with '" + host + "': " + why, ""};
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND: // libcurl would have begun the upload again by itself
    case CURLE_GOT_NOTHING:
        return {std::errc::connection_reset, "'" + host + "' has cut the connection: " + why, ""};
    default:
        return {std::errc::io_error, "cannot speak with '" + host + "': " + why, ""};
    }
}

} // namespace ctrd::registry
