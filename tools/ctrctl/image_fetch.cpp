#include "tools/ctrctl/image_fetch.hpp"

#include "ctrd/image/worker_protocol.hpp"

#include <sys/socket.h>

namespace ctrd::ctl {
namespace {

std::optional<Error> complaint(const Helper& fetcher) {
    const auto message = receive_fds(fetcher.socket(), imaging::max_message, MSG_DONTWAIT);
    if (!message || message->data.empty())
        return std::nullopt;
    const auto json = image::parse_json(message->data, imaging::max_message);
    if (!json || !json->contains("error"))
        return std::nullopt;
    return imaging::error_from((*json)["error"]);
}

} // namespace

Result<FetchProcess> start_fetching(const registry::FetchSettings& settings) {
    const UniqueFd text = TRY(make_memfd("settings", registry::to_text(settings)));
    SocketPair channel = TRY(make_socket_pair());
    Helper fetcher = TRY(Helper::start("ctr-fetch"));
    const int fds[] = {text.get(), channel.theirs.get()};
    TRY_VOID(fetcher.send({{"verb", "pull"}}, fds).context("'ctr-fetch'"));
    return FetchProcess{std::move(fetcher), std::move(channel.ours)};
}

Error why_not_fetched(const FetchProcess& fetching, Error error) {
    if (error.code != std::errc::operation_canceled)
        return error;
    auto said = complaint(fetching.process);
    return said ? *std::move(said) : Error{std::errc::io_error, error.message, error.hint};
}

} // namespace ctrd::ctl
