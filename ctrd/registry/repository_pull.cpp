// Blobs of a repository, as they come.
#include "ctrd/registry/repository.hpp"

#include <algorithm>
#include <charconv>

namespace ctrd::registry {
namespace {

/// Whether what begins to come is the part that was asked for, and how much of it is there already.
Result<std::uint64_t> bytes_to_skip(const Answer& answer, const BlobProgress& progress) {
    const std::string what = "blob " + progress.wanted().digest.text();
    const auto wrong = [&](const std::string& why) {
        return fail(Error{std::errc::bad_message, what + ": " + why, ""});
    };
    const std::string length = answer.header("content-length");
    std::uint64_t bytes = 0;
    const bool has_length =
        !length.empty() && std::from_chars(length.data(), length.data() + length.size(), bytes).ec == std::errc{};
    if (answer.status == 200) {
        if (has_length && bytes != progress.wanted().size)
            return wrong("the registry has " + std::to_string(bytes) + " bytes of it, announced were " +
                         std::to_string(progress.wanted().size));
        return progress.done(); // it knows no ranges: all comes again
    }
    const auto range = TRY(parse_content_range(answer.header("content-range")).context(what));
    if (range.first != progress.done() || range.last >= progress.wanted().size ||
        (range.total != 0 && range.total != progress.wanted().size))
        return wrong("asked for the bytes from " + std::to_string(progress.done()) + " on, the registry sends " +
                     printable(answer.header("content-range").substr(0, 100)));
    return std::uint64_t{0};
}

} // namespace

/// What one request brings of the rest.
Result<Answer> Repository::get_blob_part(BlobProgress& progress, const Sink& sink, bool& sink_failed,
                                         const std::stop_token& stop) {
    ApiRequest get = request("GET", "blobs/" + progress.wanted().digest.text());
    if (progress.done() > 0)
        get.headers.push_back("Range: bytes=" + std::to_string(progress.done()) + "-" +
                              std::to_string(progress.wanted().size - 1));
    get.repeatable = false;
    std::uint64_t skip = 0;
    get.streams = [&](const Answer& answer) -> Result<bool> {
        if (answer.status != 200 && answer.status != 206)
            return false;
        skip = TRY(bytes_to_skip(answer, progress));
        return true;
    };
    get.stream = [&](std::string_view data) -> Result<void> {
        const auto known = std::min<std::uint64_t>(skip, data.size());
        skip -= known;
        data.remove_prefix(known);
        if (data.empty())
            return {};
        TRY_VOID(progress.add(data));
        auto taken = sink(data);
        sink_failed = !taken;
        return taken;
    };
    return session_->send_once(get, stop);
}

Result<void> Repository::fetch_blob(BlobProgress& progress, const Sink& sink, const std::stop_token& stop) {
    const std::string what = "blob " + progress.wanted().digest.text() + " of " + place();
    for (unsigned number = 1; progress.left() > 0;) {
        const std::uint64_t before = progress.done();
        bool sink_failed = false;
        const auto answer = get_blob_part(progress, sink, sink_failed, stop);
        if (sink_failed)
            return fail(answer.error());
        if (progress.left() == 0)
            break; // also where the connection was cut behind the last byte
        if (!answer && !is_temporary(answer.error()))
            return fail(Result<void>{fail(answer.error())}.context(what).error());
        const bool came = answer && (answer->status == 200 || answer->status == 206);
        const bool busy = answer && (answer->status == 408 || answer->status == 429 || answer->status >= 500);
        if (answer && !came && !busy)
            return fail(session_->refusal(*answer, what));
        // Each good stretch earns new tries; a server that hands out single bytes does not keep us for ever.
        if (progress.done() - before >= session_->settings().getting_on)
            number = 1;
        if (number >= session_->settings().tries) {
            if (answer && busy)
                return fail(session_->refusal(*answer, what));
            const std::string where = std::to_string(progress.done()) + " of " + std::to_string(progress.wanted().size);
            return fail(Error{std::errc::connection_reset,
                              what + ": given up after " + where + " bytes and " + std::to_string(number) + " tries" +
                                  (answer ? "" : ": " + answer.error().message),
                              ""});
        }
        TRY_VOID(session_->wait_before(++number, answer ? &*answer : nullptr, stop).context(what));
    }
    return progress.finish().context(place());
}

Result<std::string> Repository::small_blob(const Descriptor& descriptor, std::size_t limit,
                                           const std::stop_token& stop) {
    if (descriptor.size > limit)
        return fail(bad_input("blob " + descriptor.digest.text() + " is announced with " +
                              std::to_string(descriptor.size) + " bytes; " + std::to_string(limit) +
                              " are allowed here"));
    std::string text;
    BlobProgress progress{descriptor};
    TRY_VOID(fetch_blob(
        progress,
        [&](std::string_view data) -> Result<void> {
            text += data;
            return {};
        },
        stop));
    return text;
}

} // namespace ctrd::registry
