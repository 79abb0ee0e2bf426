#include "tools/ctrctl/image_worker.hpp"

#include "config/image_settings.hpp"
#include "ctrd/erofs/mount.hpp"
#include "ctrd/image/budget.hpp"
#include "ctrd/image/verity.hpp"

#include <algorithm>

namespace ctrd::ctl {
namespace {

/// Until its answer; nothing if it ends without one.
Result<std::optional<Result<std::vector<image::Tag>>>> listen(int socket, const SignalQueue& signals,
                                                              const image::ProgressSink& progress) {
    using Answer = std::optional<Result<std::vector<image::Tag>>>;
    for (;;) {
        auto message = next_message(socket, signals, imaging::max_message);
        if (!message && message.error().code == std::errc::interrupted)
            return fail(std::move(message).error());
        if (!message || message->data.empty())
            return Answer{};
        const image::Json json = TRY(image::parse_json(message->data, imaging::max_message));
        if (json.contains("error"))
            return Answer{fail(imaging::error_from(json["error"]))};
        if (json.contains("tags"))
            return Answer{imaging::tags_from(json)};
        const image::Progress one = TRY(imaging::progress_from(json));
        if (progress)
            progress(one);
    }
}

bool adds_to_store(const std::string& verb) { return verb != "save" && verb != "export" && verb != "verify"; }

/// How much more it may hold. Two at the same time each see what was there when they began.
Result<std::optional<std::uint64_t>> room_in(const image::Store& store, const config::ImageSettings& settings) {
    if (!settings.max_size)
        return std::optional<std::uint64_t>{};
    const std::uint64_t used = TRY(image::bytes_used(store.root()));
    return std::optional{*settings.max_size - std::min(used, *settings.max_size)};
}

Result<bool> seals_layers(const image::Store& store, const config::ImageSettings& settings) {
    if (settings.verity == config::Verity::no)
        return false;
    const bool can = TRY(image::can_have_verity(store));
    if (!can && settings.verity == config::Verity::required)
        return fail(
            Error{std::errc::not_supported,
                  std::string{"the image store's file system has no fs-verity, which 'verity' in "} +
                      config::image_settings_file + " requires",
                  "ext4 has it after 'tune2fs -O verity DEVICE', btrfs as it is, where the kernel was built with "
                  "CONFIG_FS_VERITY; verity = \"auto\" does without"});
    return can;
}

Result<image::LayerForm> form_of_layers(const config::ImageSettings& settings) {
    if (settings.layers == config::LayerStorage::folders)
        return image::LayerForm::folder;
    if (auto can = erofs::check_kernel(); !can)
        return fail(
            Error{can.error().code,
                  can.error().message + std::string{", which 'layers' in "} + config::image_settings_file + " asks for",
                  "layers = \"folders\" does without; a kernel has it where it was built with CONFIG_EROFS_FS"});
    return image::LayerForm::erofs;
}

} // namespace

Result<std::vector<image::Tag>> run_image_worker(imaging::Request request, const image::Store& store,
                                                 std::span<const int> given, const image::ProgressSink& progress) {
    if (adds_to_store(request.verb)) {
        const auto settings = TRY(config::read_image_settings());
        request.room = TRY(room_in(store, settings));
        request.load.options.verity = TRY(seals_layers(store, settings));
        request.load.options.form = TRY(form_of_layers(settings));
    }
    Helper worker = TRY(Helper::start("ctr-image"));
    const SignalQueue signals = TRY(end_signals());
    std::vector<int> fds{store.root()};
    fds.insert(fds.end(), given.begin(), given.end());
    const auto sent = worker.send(imaging::to_json(request), fds);
    auto answer = listen(worker.socket(), signals, progress);
    signals.restore_mask();
    if (!answer) {
        worker.kill();
        store.tidy();
        return fail(std::move(answer).error());
    }
    const auto died = worker.wait();
    if (*answer)
        return std::move(**answer);
    return fail(died ? *died : sent ? bad_input("the image worker ended without an answer") : sent.error());
}

} // namespace ctrd::ctl
