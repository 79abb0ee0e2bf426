#include "tools/ctrctl/image_progress.hpp"

#include "ctrd/image/worker_protocol.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <array>
#include <cstdio>

namespace ctrd::ctl {
namespace {

std::string bar(const image::Progress& progress, std::size_t width) {
    using State = image::Progress::State;
    const bool full = progress.state == State::done || progress.state == State::shared;
    const std::uint64_t done = full ? 1 : progress.bytes;
    const std::uint64_t total = full ? 1 : std::max<std::uint64_t>(progress.total, 1);
    const auto filled =
        static_cast<std::size_t>(progress.total == 0 && !full ? 0
                                                              : static_cast<double>(width) * static_cast<double>(done) /
                                                                    static_cast<double>(total));
    return "[" + std::string(std::min(filled, width), '#') + std::string(width - std::min(filled, width), ' ') + "]";
}

} // namespace

std::string size_text(std::uint64_t bytes) {
    constexpr std::array units{"B", "kB", "MB", "GB", "TB", "PB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1000 && unit + 1 < units.size()) {
        value /= 1000;
        ++unit;
    }
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string progress_line(const image::Progress& progress, unsigned width) {
    using State = image::Progress::State;
    const std::string name = progress.digest.size() > 19 ? printable(progress.digest.substr(7, 12))
                                                         : fmt::format("layer {}", progress.layer + 1);
    std::string state;
    switch (progress.state) {
    case State::waiting:
        state = "waits";
        break;
    case State::working:
        state = size_text(progress.bytes) + (progress.total > 0 ? " / " + size_text(progress.total) : "");
        break;
    case State::done:
        state = size_text(progress.bytes) + ", done";
        break;
    case State::shared:
        state = "is here already";
        break;
    }
    const std::string text = fmt::format("{:12}  {}  {}", name, bar(progress, 24), state);
    return width > 0 ? text.substr(0, width - 1) : text;
}

ProgressView::ProgressView(Json json, bool quiet)
    : json_{json}, terminal_{json == Json::off && !quiet && ::isatty(STDERR_FILENO) == 1} {}

ProgressView::~ProgressView() {
    if (terminal_ && drawn_ > 0)
        std::fflush(stderr);
}

void ProgressView::show(const image::Progress& progress) {
    if (json_ != Json::off) {
        print(imaging::to_json(progress).dump() + "\n");
        return;
    }
    if (!terminal_)
        return;
    if (layers_.size() < progress.layers) {
        layers_.resize(progress.layers);
        for (std::size_t i = 0; i < layers_.size(); ++i)
            if (layers_[i].layers == 0)
                layers_[i] = {i, progress.layers};
    }
    layers_.at(progress.layer) = progress;
    draw();
    drawn_ = layers_.size();
}

void ProgressView::draw() const {
    const unsigned width = look_of_stdout().width;
    std::string text = drawn_ > 0 ? fmt::format("\x1b[{}A", drawn_) : "";
    for (const image::Progress& one : layers_)
        text += "\r\x1b[K" + progress_line(one, width) + "\n";
    std::fputs(text.c_str(), stderr);
    std::fflush(stderr);
}

} // namespace ctrd::ctl
