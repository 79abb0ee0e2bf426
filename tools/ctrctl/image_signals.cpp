#include "tools/ctrctl/image_signals.hpp"

#include "ctrd/image/worker_protocol.hpp"
#include "tools/ctrctl/client.hpp"

#include <systemd/sd-bus.h>

#include <unistd.h>

#include <chrono>
#include <map>

namespace ctrd::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* path = "/io/ctrd1/images";
constexpr const char* interface = "io.ctrd1.Images";
constexpr auto quiet_time = 100ms; // between two signals of one layer's bytes

class PullSignals {
public:
    explicit PullSignals(const std::string& name) : name_{printable(name)} {
        sd_bus* bus = nullptr;
        if (::geteuid() == 0 && sd_bus_open_system(&bus) >= 0)
            bus_.reset(bus);
        send("PullStarted", "s", name_.c_str());
    }

    void show(const image::Progress& one) {
        using State = image::Progress::State;
        const auto now = Clock::now();
        if (one.state == State::working && one.bytes > 0 && now < next_[one.layer])
            return;
        next_[one.layer] = now + quiet_time;
        const std::string state = imaging::to_json(one)["state"];
        send("PullProgress", "sttsstt", name_.c_str(), std::uint64_t{one.layer}, std::uint64_t{one.layers},
             one.digest.c_str(), state.c_str(), one.bytes, one.total);
    }

    void end(const Result<image::Tag>& result) {
        const std::string digest = result ? result->manifest.text() : "";
        const std::string error = result ? "" : printable(result.error().message);
        send("PullFinished", "sss", name_.c_str(), digest.c_str(), error.c_str());
    }

private:
    /// A bus that does not take them any more is no reason for a pull to fail.
    template <class... Values> void send(const char* member, const char* types, Values... values) {
        if (bus_ && sd_bus_emit_signal(bus_.get(), path, interface, member, types, values...) < 0)
            bus_.reset();
    }

    std::string name_;
    Bus bus_{};
    std::map<std::size_t, Clock::time_point> next_{};
};

} // namespace

Result<image::Tag> with_signals(const std::string& name, const image::ProgressSink& progress,
                                const PullFunction& pull) {
    PullSignals signals{name};
    auto result = pull([&](const image::Progress& one) {
        signals.show(one);
        if (progress)
            progress(one);
    });
    signals.end(result);
    return result;
}

} // namespace ctrd::ctl
