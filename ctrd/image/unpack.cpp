#include "ctrd/image/unpack.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/chunk_queue.hpp"
#include "ctrd/image/hasher.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace ctrd::image {
namespace {

class QueueSource : public ChunkSource {
public:
    explicit QueueSource(ChunkQueue& queue) : queue_{queue} {}
    Result<std::string_view> next() override {
        auto chunk = queue_.pop();
        if (!chunk && !queue_.is_whole())
            return fail(Error{std::errc::operation_canceled, "the layer did not come whole"});
        current_ = chunk ? std::move(*chunk) : nullptr;
        return current_ ? std::string_view{*current_} : std::string_view{};
    }

private:
    ChunkQueue& queue_;
    Chunk current_{};
};

/// The stages, and what became of each. The first stage whose own failure it was is reported: the others only notice
/// that their neighbour has gone.
class Pipeline {
public:
    explicit Pipeline(const LayerJob& job)
        : job_{job}, blob_{job.blob ? job.blob->digest.algorithm() : Algorithm::sha256},
          tar_{job.diff_id ? job.diff_id->algorithm() : Algorithm::sha256} {}

    Result<LayerResult> run() {
        if (job_.writer == nullptr) {
            TRY_VOID(read());
            return LayerResult{*blob_digest_, job_.diff_id.value_or(*blob_digest_), size_};
        }
        {
            const std::jthread inflating{[this] { end(inflated_, inflate(), tar_queue_, hash_queue_); }};
            const std::jthread hashing{[this] { hash_tar(); }};
            const std::jthread writing{[this] { written_ = write(); }};
            read_ = read();
            compressed_queue_.finish(read_.has_value());
        }
        // A wrong blob explains everything that comes after it, unless reading stopped because of what came after.
        for (const auto* stage : {&read_, &inflated_, &written_})
            if (!*stage && stage->error().code != std::errc::operation_canceled)
                return fail(stage->error());
        for (const auto* stage : {&read_, &inflated_, &written_})
            if (!*stage)
                return fail(stage->error());
        return check();
    }

private:
    static Error cancelled() { return {std::errc::operation_canceled, "the layer was not unpacked to its end"}; }

    template <class... Queues> static void end(Result<void>& to, Result<void> result, Queues&... queues) {
        to = std::move(result);
        (queues.finish(to.has_value()), ...);
    }

    ssize_t read_some(char* to, std::size_t most) const {
        const LayerInput& in = job_.input;
        if (size_ < job_.have)
            return ::pread(job_.copy, to, std::min<std::uint64_t>(most, job_.have - size_), static_cast<off_t>(size_));
        if (!in.offset)
            return ::read(in.file.get(), to, most);
        if (in.length == 0)
            return 0;
        return ::pread(in.file.get(), to, std::min<std::uint64_t>(most, in.length - size_),
                       static_cast<off_t>(*in.offset + size_));
    }

    Result<void> read() {
        for (;;) {
            std::string data(chunk_size, '\0');
            const ssize_t n = read_some(data.data(), data.size());
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return fail(os_error(errno, "cannot read the layer"));
            if (n == 0)
                break;
            data.resize(static_cast<std::size_t>(n));
            const bool is_new = size_ >= job_.have;
            size_ += static_cast<std::uint64_t>(n);
            if (job_.blob && size_ > job_.blob->size)
                return fail(bad_input("the blob is longer than the " + std::to_string(job_.blob->size) +
                                      " bytes that its manifest says"));
            blob_.update(data);
            if (job_.copy >= 0 && is_new) {
                TRY_VOID(charge(job_.limits.budget, data.size()));
                TRY_VOID(write_all(job_.copy, data));
            }
            if (job_.writer != nullptr && !compressed_queue_.push(std::make_shared<const std::string>(std::move(data))))
                return fail(cancelled());
            if (job_.progress)
                job_.progress(size_);
        }
        if (job_.input.ended)
            TRY_VOID(job_.input.ended());
        if (job_.blob && size_ != job_.blob->size)
            return fail(bad_input("the blob has " + std::to_string(size_) + " bytes instead of the " +
                                  std::to_string(job_.blob->size) + " that its manifest says"));
        blob_digest_ = blob_.finish();
        if (job_.blob && *blob_digest_ != job_.blob->digest)
            return fail(bad_input("the blob is '" + blob_digest_->text() + "', not what its manifest says",
                                  "it was damaged or exchanged on its way"));
        return {};
    }

    Result<void> hand_on(std::string_view data) {
        tar_size_ += data.size();
        const LayerLimits& limits = job_.limits;
        if (tar_size_ > limits.bytes)
            return fail(Error{std::errc::file_too_large,
                              "the layer unpacks to more than " + std::to_string(limits.bytes) + " bytes",
                              "if you trust it, allow more by --max-layer-size"});
        if (tar_size_ > limits.ratio_from && tar_size_ / limits.ratio > consumed_)
            return fail(Error{std::errc::file_too_large,
                              "the layer unpacks to more than " + std::to_string(limits.ratio) + " times its size",
                              "no real layer does: it may have been made to fill the disk"});
        TRY_VOID(charge(limits.budget, data.size()));
        const auto chunk = std::make_shared<const std::string>(data);
        const bool taken = hash_queue_.push(chunk);
        if (!tar_queue_.push(chunk) || !taken)
            return fail(cancelled());
        return {};
    }

    Result<void> inflate() {
        const auto sink = [this](std::string_view data) { return hand_on(data); };
        std::unique_ptr<Decompressor> decompressor;
        auto result = [&]() -> Result<void> {
            while (auto chunk = compressed_queue_.pop()) {
                if (!decompressor)
                    decompressor = Decompressor::make(compression_ = TRY(detect_compression(**chunk)));
                consumed_ += (*chunk)->size();
                TRY_VOID(decompressor->feed(**chunk, sink));
            }
            if (!compressed_queue_.is_whole())
                return fail(cancelled());
            return decompressor ? decompressor->finish() : fail(bad_input("the layer is empty"));
        }();
        compressed_queue_.abandon();
        return result;
    }

    void hash_tar() {
        while (auto chunk = hash_queue_.pop())
            tar_.update(**chunk);
    }

    Result<void> write() {
        QueueSource source{tar_queue_};
        auto result = [&]() -> Result<void> {
            TarReader reader{source};
            while (auto entry = TRY(reader.next()))
                TRY_VOID(
                    job_.writer->add(*entry, reader).context("entry '" + printable(entry->path.substr(0, 300)) + "'"));
            TRY_VOID(job_.writer->finish());
            // What is behind the end of the archive belongs to the hash alone.
            while (!TRY(source.next()).empty()) {
            }
            return {};
        }();
        tar_queue_.abandon();
        return result;
    }

    Result<LayerResult> check() {
        LayerResult result{*blob_digest_, tar_.finish(), size_, tar_size_, compression_};
        if (job_.diff_id && result.diff_id != *job_.diff_id)
            return fail(bad_input("the layer's content is '" + result.diff_id.text() + "', not '" +
                                      job_.diff_id->text() + "' as the image's config says",
                                  "the image was put together wrongly, or to deceive"));
        return result;
    }

    const LayerJob& job_;
    Hasher blob_, tar_;
    ChunkQueue compressed_queue_{8}, tar_queue_{8}, hash_queue_{8};
    std::optional<Digest> blob_digest_{};
    Compression compression_{Compression::none};
    std::uint64_t size_{0}, consumed_{0}, tar_size_{0};
    Result<void> read_{}, inflated_{}, written_{};
};

} // namespace

Result<LayerResult> unpack_layer(const LayerJob& job) { return Pipeline{job}.run(); }

} // namespace ctrd::image
