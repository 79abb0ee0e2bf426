// Pushing: what the registry does not have, some blobs at a time, and then the manifest that names them.
#include "tools/ctr-fetch/serve.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>

namespace ctrd::fetching {
namespace {

using registry::Descriptor;
constexpr unsigned at_a_time = 3;

registry::ReadAt reader(int file, const std::function<void(std::uint64_t)>& tell) {
    return [file, &tell](std::uint64_t offset, std::span<char> buffer) -> Result<std::size_t> {
        const ssize_t n = ::pread(file, buffer.data(), buffer.size(), static_cast<off_t>(offset));
        if (n < 0)
            return fail(os_error(errno, "cannot read a blob of the image store"));
        tell(offset + static_cast<std::uint64_t>(n));
        return static_cast<std::size_t>(n);
    };
}

class Push {
public:
    Push(registry::Repository& repository, std::vector<Descriptor> blobs, std::span<const UniqueFd> files,
         const image::ProgressSink& progress)
        : repository_{repository}, blobs_{std::move(blobs)}, files_{files}, progress_{progress} {}

    Result<void> run() {
        {
            std::vector<std::jthread> threads;
            for (unsigned i = 0; i < at_a_time; ++i)
                threads.emplace_back([this] { work(); });
        }
        return error_ ? Result<void>{fail(*std::move(error_))} : Result<void>{};
    }

private:
    using State = image::Progress::State;

    void work() {
        for (std::size_t i = next_++; i < blobs_.size(); i = next_++) {
            auto pushed = one(i);
            if (pushed)
                continue;
            const std::lock_guard lock{mutex_};
            if (!error_)
                error_ = std::move(pushed).error();
            stop_.request_stop();
        }
    }

    Result<void> one(std::size_t i) {
        std::uint64_t told = 0;
        const std::function<void(std::uint64_t)> moved = [&](std::uint64_t bytes) {
            if (bytes < told + (1U << 20) && told > 0)
                return;
            told = bytes;
            tell(i, State::working, bytes);
        };
        const bool sent = TRY(repository_.push_blob(blobs_[i], reader(files_[i].get(), moved), "", stop_.get_token()));
        tell(i, sent ? State::done : State::shared, blobs_[i].size);
        return {};
    }

    void tell(std::size_t i, State state, std::uint64_t bytes) {
        const std::lock_guard lock{mutex_};
        progress_({i, blobs_.size(), state, blobs_[i].digest.text(), bytes, blobs_[i].size});
    }

    registry::Repository& repository_;
    std::vector<Descriptor> blobs_;
    std::span<const UniqueFd> files_;
    const image::ProgressSink& progress_;
    std::atomic<std::size_t> next_{0};
    std::mutex mutex_{};
    std::optional<Error> error_{};
    std::stop_source stop_{};
};

} // namespace

Result<void> push(registry::Client& client, const registry::FetchSettings& settings, std::span<const UniqueFd> files,
                  const image::ProgressSink& progress) {
    const auto document = TRY(image::parse_document(settings.manifest, settings.manifest_type));
    const auto* manifest = std::get_if<image::Manifest>(&document);
    if (manifest == nullptr)
        return fail(bad_input("an index is no image"));
    std::vector<Descriptor> blobs{manifest->config};
    blobs.insert(blobs.end(), manifest->layers.begin(), manifest->layers.end());
    if (blobs.size() != files.size())
        return fail(bad_input("the manifest names " + std::to_string(blobs.size()) + " blobs, and " +
                              std::to_string(files.size()) + " came"));
    registry::Repository repository = TRY(client.repository(settings.reference, true));
    Push all{repository, std::move(blobs), files, progress};
    TRY_VOID(all.run());
    return repository.push_manifest(
        {{settings.manifest_type, image::digest_of(settings.manifest), settings.manifest.size()}, settings.manifest},
        settings.reference.tag, {});
}

} // namespace ctrd::fetching
