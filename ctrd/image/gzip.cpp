#include "ctrd/image/gzip.hpp"

#include "ctrd/image/chunk_queue.hpp"

#include <isa-l/igzip_lib.h>

namespace ctrd::image {

struct Gzipper::State {
    isal_zstream stream{};
    std::string level_buffer = std::string(ISAL_DEF_LVL1_DEFAULT, '\0');
    std::string output = std::string(chunk_size, '\0');
};

Gzipper::Gzipper(Sink sink) : sink_{std::move(sink)}, state_{std::make_unique<State>()} {
    isal_zstream& stream = state_->stream;
    ::isal_deflate_init(&stream);
    stream.gzip_flag = IGZIP_GZIP;
    stream.level = 1;
    stream.level_buf = reinterpret_cast<std::uint8_t*>(state_->level_buffer.data());
    stream.level_buf_size = static_cast<std::uint32_t>(state_->level_buffer.size());
}

Gzipper::~Gzipper() = default;

Result<void> Gzipper::run() {
    isal_zstream& stream = state_->stream;
    std::string& output = state_->output;
    do {
        stream.next_out = reinterpret_cast<std::uint8_t*>(output.data());
        stream.avail_out = static_cast<std::uint32_t>(output.size());
        if (::isal_deflate(&stream) != COMP_OK)
            return fail(bad_input("the compressor failed"));
        if (const std::size_t size = output.size() - stream.avail_out; size > 0)
            TRY_VOID(sink_({output.data(), size}));
    } while (stream.avail_out == 0);
    return {};
}

Result<void> Gzipper::feed(std::string_view data) {
    state_->stream.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(data.data()));
    state_->stream.avail_in = static_cast<std::uint32_t>(data.size());
    return run();
}

Result<void> Gzipper::finish() {
    state_->stream.end_of_stream = 1;
    TRY_VOID(feed({}));
    while (state_->stream.internal_state.state != ZSTATE_END)
        TRY_VOID(run());
    return {};
}

} // namespace ctrd::image
