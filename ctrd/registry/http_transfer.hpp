// The state of one transfer, which libcurl's callbacks fill and judge.
#pragma once

#include "ctrd/registry/http.hpp"

#include <curl/curl.h>

namespace ctrd::registry {

class Transfer {
public:
    Transfer(const Exchange& exchange, const HttpSettings& settings, bool proxied, std::stop_token stop)
        : exchange_{exchange}, settings_{settings}, proxied_{proxied}, stop_{std::move(stop)} {}

    /// Sets the callbacks, with this object as their data: it must stay where it is.
    void attach(CURL* handle);
    /// What came of it.
    Result<Answer> finish(CURLcode code, const char* detail);

private:
    static std::size_t on_header(const char* data, std::size_t size, std::size_t count, void* self);
    static std::size_t on_body(const char* data, std::size_t size, std::size_t count, void* self);
    static std::size_t on_upload(char* buffer, std::size_t size, std::size_t count, void* self);
    static int on_progress(void* self, curl_off_t, curl_off_t down, curl_off_t, curl_off_t up);
    static curl_socket_t on_socket(void* self, curlsocktype purpose, curl_sockaddr* address);
    static int on_seek(void* self, curl_off_t offset, int origin);

    Result<void> take_header(std::string_view line);
    Result<void> take_body(std::string_view data);
    bool is_stalled(std::uint64_t down, std::uint64_t up);
    /// How long nothing may move now.
    [[nodiscard]] Seconds patience(std::uint64_t down, std::uint64_t up) const;
    Error explain(CURLcode code, std::string_view detail) const;

    using Clock = std::chrono::steady_clock;
    const Exchange& exchange_;
    const HttpSettings& settings_;
    bool proxied_;
    std::stop_token stop_;
    Answer answer_{};
    std::optional<Error> error_{};
    std::optional<bool> streaming_{};
    std::size_t header_bytes_{0};
    bool enough_{false}; // of an error's text: the rest is not wanted
    Clock::time_point window_start_{Clock::now()};
    Clock::duration elsewhere_{}; // of this window, spent in the callers' callbacks
    std::uint64_t window_bytes_{0};
};

} // namespace ctrd::registry
