#include "tools/ctrctl/registry_job.hpp"

#include "ctrd/image/worker_protocol.hpp"
#include "tools/ctrctl/helper.hpp"

namespace ctrd::ctl {
namespace {

/// True where it was done, false where it ended without a word.
Result<bool> listen(int socket, const SignalQueue& signals, const image::ProgressSink& progress) {
    for (;;) {
        const auto message = TRY(next_message(socket, signals, imaging::max_message));
        if (message.data.empty())
            return false;
        const image::Json json = TRY(image::parse_json(message.data, imaging::max_message));
        if (json.contains("error"))
            return fail(imaging::error_from(json["error"]));
        if (json.contains("done"))
            return true;
        const image::Progress one = TRY(imaging::progress_from(json));
        if (progress)
            progress(one);
    }
}

} // namespace

Result<void> run_registry_job(const image::Json& job, const registry::FetchSettings& settings,
                              std::span<const UniqueFd> files, const image::ProgressSink& progress) {
    const UniqueFd text = TRY(make_memfd("settings", registry::to_text(settings)));
    Helper fetcher = TRY(Helper::start("ctr-fetch"));
    const SignalQueue signals = TRY(end_signals());
    const int fd = text.get();
    auto sent = fetcher.send(job, {&fd, 1});
    for (std::size_t i = 0; i < files.size() && sent; ++i) {
        const int file = files[i].get();
        sent = fetcher.send({{"blob", i}}, {&file, 1});
    }
    auto done = listen(fetcher.socket(), signals, progress);
    signals.restore_mask();
    if (!done) {
        fetcher.kill();
        return fail(std::move(done).error());
    }
    if (*done)
        return {};
    const auto died = fetcher.wait();
    return fail(died ? *died : bad_input("'ctr-fetch' ended without an answer"));
}

} // namespace ctrd::ctl
