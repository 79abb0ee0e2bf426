#include "ctrd/image/decompress.hpp"

#include "ctrd/image/chunk_queue.hpp"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <array>

namespace ctrd::image {
namespace {

using namespace std::string_view_literals;

class Copier : public Decompressor {
public:
    Result<void> feed(std::string_view data, const Sink& sink) override { return sink(data); }
    Result<void> finish() override { return {}; }
};

/// By ISA-L, which inflates some three times as fast as zlib.
class Gunzipper : public Decompressor {
public:
    Gunzipper() { begin(); }

    Result<void> feed(std::string_view data, const Sink& sink) override {
        state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(data.data()));
        state_->avail_in = static_cast<std::uint32_t>(data.size());
        do {
            if (state_->block_state == ISAL_BLOCK_FINISH) {
                if (state_->avail_in == 0)
                    return {};
                next_member();
            }
            state_->next_out = reinterpret_cast<std::uint8_t*>(output_.data());
            state_->avail_out = static_cast<std::uint32_t>(output_.size());
            const int status = ::isal_inflate(state_.get());
            if (status != ISAL_DECOMP_OK && status != ISAL_END_INPUT)
                return fail(bad_input("the gzip stream is damaged (" + std::string{reason(status)} + ")"));
            begun_ = true;
            if (const std::size_t size = output_.size() - state_->avail_out; size > 0)
                TRY_VOID(sink({output_.data(), size}));
        } while (state_->avail_in > 0 || state_->avail_out == 0 || has_output_left());
        return {};
    }

    Result<void> finish() override {
        if (begun_ && state_->block_state == ISAL_BLOCK_FINISH)
            return {};
        return fail(bad_input("the gzip stream ends too early"));
    }

private:
    void begin() {
        ::isal_inflate_init(state_.get());
        state_->crc_flag = ISAL_GZIP;
    }
    void next_member() {
        std::uint8_t* const input = state_->next_in;
        const std::uint32_t left = state_->avail_in;
        begin();
        state_->next_in = input;
        state_->avail_in = left;
    }
    [[nodiscard]] bool has_output_left() const {
        return state_->block_state != ISAL_BLOCK_FINISH && state_->tmp_out_valid > state_->tmp_out_processed;
    }
    static std::string_view reason(int status) {
        switch (status) {
        case ISAL_INCORRECT_CHECKSUM:
            return "its checksum is wrong";
        case ISAL_INVALID_WRAPPER:
        case ISAL_UNSUPPORTED_METHOD:
            return "there is something else behind it or in its header";
        default:
            return "it holds what no compressor writes";
        }
    }

    std::unique_ptr<inflate_state> state_{std::make_unique<inflate_state>()};
    std::string output_ = std::string(chunk_size, '\0');
    bool begun_{false};
};

class Unzstd : public Decompressor {
public:
    // As much as `zstd --ultra -22` takes without --long.
    Unzstd() { ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, 27); }

    Result<void> feed(std::string_view data, const Sink& sink) override {
        ZSTD_inBuffer input{data.data(), data.size(), 0};
        for (;;) {
            ZSTD_outBuffer output{output_.data(), output_.size(), 0};
            const std::size_t left = ZSTD_decompressStream(context_.get(), &output, &input);
            if (ZSTD_isError(left) != 0)
                return fail(bad_input("the zstd stream is damaged: " + std::string{ZSTD_getErrorName(left)}));
            at_frame_end_ = left == 0;
            if (output.pos > 0)
                TRY_VOID(sink({output_.data(), output.pos}));
            if (input.pos == input.size && output.pos < output.size)
                return {};
        }
    }

    Result<void> finish() override {
        return at_frame_end_ ? Result<void>{} : fail(bad_input("the zstd stream ends too early"));
    }

private:
    struct Free {
        void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
    };
    std::unique_ptr<ZSTD_DCtx, Free> context_{ZSTD_createDCtx()};
    std::string output_ = std::string(chunk_size, '\0');
    bool at_frame_end_{false};
};

} // namespace

Result<Compression> detect_compression(std::string_view first_bytes) {
    if (first_bytes.starts_with("\x1f\x8b"sv))
        return Compression::gzip;
    if (first_bytes.starts_with("\x28\xb5\x2f\xfd"sv))
        return Compression::zstd;
    // A skippable frame may come first.
    if (first_bytes.size() >= 4 && (first_bytes[0] & '\xf0') == '\x50' && first_bytes.substr(1, 3) == "\x2a\x4d\x18"sv)
        return Compression::zstd;
    struct Known {
        std::string_view bytes, name;
    };
    constexpr std::array refused{Known{"\xfd"
                                       "7zXZ\0"sv,
                                       "xz"},
                                 Known{"BZh"sv, "bzip2"}, Known{"\x5d\0\0"sv, "lzma"}};
    for (const auto& [bytes, name] : refused)
        if (first_bytes.starts_with(bytes))
            return fail(Error{std::errc::not_supported, "it is compressed by " + std::string{name},
                              "layers are gzip, zstd or plain tar"});
    return Compression::none;
}

std::unique_ptr<Decompressor> Decompressor::make(Compression compression) {
    switch (compression) {
    case Compression::gzip:
        return std::make_unique<Gunzipper>();
    case Compression::zstd:
        return std::make_unique<Unzstd>();
    case Compression::none:
        break;
    }
    return std::make_unique<Copier>();
}

} // namespace ctrd::image
