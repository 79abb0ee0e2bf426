#include "config/image.hpp"

#include "config/checks.hpp"
#include "config/syntax.hpp"
#include "ctrd/base/names.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ctrd::config {
namespace {

class Completion {
public:
    Completion(const UnitSpec& spec, const image::Config& config) : spec_{spec}, config_{config} {}

    Outcome<UnitSpec> complete() {
        set_command();
        set_folder();
        set_signal();
        set_port();
        set_state();
        if (!problems_.empty())
            return refuse(std::move(problems_));
        return std::move(spec_);
    }

private:
    /// What a stranger has written is shown as printable text.
    void complain(const std::string& message, std::string hint) {
        problems_.push_back({origin_of(spec_, "image"), fmt::format("image '{}': {}", *spec_.image, printable(message)),
                             std::move(hint)});
    }

    [[nodiscard]] bool declared(const char* key) const { return spec_.origins.contains(key); }

    /// A declared entrypoint has no use for the words that the image has for its own.
    void set_command() {
        std::vector<std::string> words = spec_.entrypoint.value_or(config_.entrypoint);
        const auto& rest = !spec_.command.empty() || spec_.entrypoint ? spec_.command : config_.command;
        words.insert(words.end(), rest.begin(), rest.end());
        if (words.empty())
            complain("it does not say what to run", "write 'command'");
        else if (words.front().empty())
            complain("the program that it says to run is an empty string", "write 'entrypoint' or 'command'");
        spec_.command = std::move(words);
        spec_.entrypoint.reset();
    }

    void set_folder() {
        if (spec_.working_directory || config_.working_directory.empty())
            return;
        std::string folder;
        if (!config_.working_directory.starts_with('/'))
            folder = "/";
        folder += config_.working_directory;
        if (auto good = check_absolute_path(folder); !good)
            return complain("its working directory: " + good.error().message, "write 'working-directory'");
        spec_.working_directory = std::move(folder);
    }

    void set_signal() {
        if (!declared("stop-signal") && !config_.stop_signal.empty()) {
            const auto signal = parse_signal(config_.stop_signal);
            if (!signal)
                return complain("its stop signal: " + signal.error().message, "write 'stop-signal'");
            spec_.stop_signal = signal_name(*signal);
        }
        set_systemd_defaults(spec_, config_.stop_signal.empty());
    }

    /// A socket listens on the host; what the program binds, the image may say.
    void set_port() {
        SocketSpec* only = nullptr;
        for (std::size_t i = 0; i < spec_.sockets.size(); ++i) {
            SocketSpec& socket = spec_.sockets[i];
            if (socket.datagram || socket.deliver == Deliver::pass || socket.listen.starts_with('/') ||
                declared(fmt::format("socket.{}.port", i).c_str()))
                continue;
            if (only != nullptr)
                return; // which of them is meant nobody can say
            only = &socket;
        }
        std::vector<std::uint16_t> ports;
        for (const std::string& exposed : config_.exposed_ports) {
            const auto slash = exposed.find('/');
            const auto port = parse_decimal(std::string_view{exposed}.substr(0, slash), 65535);
            if (port && *port != 0 && (slash == std::string::npos || exposed.substr(slash) == "/tcp"))
                ports.push_back(static_cast<std::uint16_t>(*port));
        }
        if (only != nullptr && ports.size() == 1)
            only->port = ports.front();
    }

    void set_state() {
        if (spec_.forgets != Volatile::state)
            return;
        spec_.read_only = true;
        if (std::ranges::none_of(spec_.mounts, [](const MountSpec& m) { return clean_path(m.target) == "/var"; }))
            spec_.mounts.insert(spec_.mounts.begin(), {MountType::tmpfs, "", "/var", false, {"mode=755"}});
    }

    UnitSpec spec_;
    const image::Config& config_;
    Diagnostics problems_{};
};

} // namespace

Outcome<UnitSpec> with_image(const UnitSpec& spec, const image::Config& config) {
    return Completion{spec, config}.complete();
}

std::string image_text(const UnitSpec& spec, const Facts& facts) {
    if (!spec.image || !facts.image)
        return {};
    const std::string digest = facts.image->digest.text();
    if (spec.image->starts_with("sha256:") || spec.image->starts_with("sha512:"))
        return digest;
    return spec.image->substr(0, spec.image->find('@')) + "@" + digest;
}

bool forgets_changes(const UnitSpec& spec) { return spec.forgets != Volatile::no || spec.read_only.value_or(false); }

} // namespace ctrd::config
