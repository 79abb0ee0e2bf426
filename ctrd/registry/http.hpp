// One HTTP exchange by libcurl, with everything bounded: time, header, answer, and the addresses that it may reach. It
// follows no redirect, sends no password by itself and tries nothing twice: that is for who knows what it is about.
#pragma once

#include "ctrd/registry/reach.hpp"
#include "ctrd/registry/tls.hpp"
#include "ctrd/registry/url.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>

namespace ctrd::registry {

using Seconds = std::chrono::duration<double>;

struct HttpSettings {
    Seconds connect_timeout{15};
    Seconds document_timeout{60};    // a manifest, a token: from the question to the last byte
    Seconds commit_timeout{600};     // an upload: from our last byte to the answer, while the registry hashes it
    Seconds stall_time{30};          // a blob: so long at less than ...
    std::uint64_t stall_speed{1024}; // ... so many bytes a second is given up
    unsigned redirects{8};
    unsigned tries{5};                    // in a row without getting on
    Seconds back_off{0.5};                // before the second try, then twice as long each time
    Seconds longest_wait{60};             // what a server may ask for with Retry-After
    std::uint64_t getting_on{256U << 10}; // so many bytes more make a failed try of a blob none
    std::string user_agent{"ctrd"};
};

struct Answer {
    long status{0};
    std::multimap<std::string, std::string> headers{}; // names in lower case
    std::string body{};
    std::optional<Reach> reach{}; // of the address that was connected to; nothing for a connection from before

    /// The first of this name, or "".
    [[nodiscard]] std::string header(const std::string& name) const;
};

struct Exchange {
    std::string method{"GET"};
    Url url{};
    std::vector<std::string> headers{}; // "Name: value"
    std::string body{};
    /// An upload that is not in memory: fills the buffer, 0 at the end.
    std::function<Result<std::size_t>(std::span<char>)> upload{};
    std::uint64_t upload_size{0};
    /// A download that is not kept: asked with status and headers whether the body goes to `stream`.
    std::function<Result<bool>(const Answer&)> streams{};
    std::function<Result<void>(std::string_view)> stream{};
    std::size_t answer_limit{4U << 20};
    /// Where the one who sent us here lies; nothing: the user himself has named the host.
    std::optional<Reach> sent_from{};
};

/// The connections to one registry and to where it sends us. Many threads may use it at once: each exchange has a
/// connection of its own for its time.
class HttpPool {
public:
    /// `host`: the registry's, without port. Its authorities count for where it sends us too, our client certificate
    /// is shown to it alone.
    HttpPool(HttpSettings settings, TlsFiles tls, std::string host, bool verify);
    ~HttpPool();

    Result<Answer> perform(const Exchange& exchange, const std::stop_token& stop);
    [[nodiscard]] const HttpSettings& settings() const noexcept { return settings_; }

private:
    struct FreeHandle {
        void operator()(void* handle) const noexcept;
    };
    using Handle = std::unique_ptr<void, FreeHandle>;
    Result<Handle> take(const std::string& origin);
    void give_back(const std::string& origin, Handle handle);

    HttpSettings settings_;
    TlsFiles tls_;
    std::string host_;
    bool verify_;
    bool proxied_; // a proxy connects for us, and there is nothing to see of where to
    std::mutex mutex_;
    std::multimap<std::string, Handle> idle_;
};

/// Whether trying again may help.
bool is_temporary(const Error& error) noexcept;
Error stopped();

} // namespace ctrd::registry
