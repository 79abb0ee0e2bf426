// ctr-fetch: speaks HTTP for ctrctl, under another user and without the machine's files (sandbox.hpp). It is started
// with a socket as descriptor 3 and lives for one job:
//
//     > {"verb": "pull"}     with [settings, channel to the unpacking worker]; no answer, the worker has them
//     > {"verb": "push"}     with [settings]; then, for each blob, {"blob": N} with [file]
//     > {"verb": "login"}    with [settings]
//     < {"layer": ..., ...}  how far a push is, as the worker says of a pull
//     < {"done": true}  or  {"error": {"code": 22, "message": ..., "hint": ...}}
//
// The settings (ctrd/registry/wire.hpp) are a sealed file in memory: passwords are in no argument and no environment.
#include "ctrd/base/file.hpp"
#include "ctrd/image/worker_protocol.hpp"
#include "tools/ctr-fetch/sandbox.hpp"
#include "tools/ctr-fetch/serve.hpp"

#include <sys/prctl.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

namespace ctrd::fetching {
namespace {

using image::Json;
using imaging::max_message;
using imaging::worker_socket;

constexpr std::size_t largest_settings = 64U << 20;
constexpr std::size_t most_blobs = 4096;

bool send(const Json& json) {
    const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    return ::send(worker_socket, text.data(), text.size(), MSG_NOSIGNAL) >= 0;
}

Result<std::vector<UniqueFd>> receive_blobs(std::size_t count) {
    if (count > most_blobs)
        return fail(bad_input("an image of more than " + std::to_string(most_blobs) + " blobs"));
    std::vector<UniqueFd> files;
    while (files.size() < count) {
        FdMessage message = TRY(receive_fds(worker_socket, max_message));
        if (message.fds.size() != 1)
            return fail(bad_input("each blob comes as one file"));
        files.push_back(std::move(message.fds[0]));
    }
    return files;
}

registry::Client make_client(const registry::FetchSettings& settings) {
    registry::ClientSettings all;
    all.registries = settings.registries;
    all.credentials =
        [&settings](const registry::Reference& reference) -> Result<std::optional<registry::Credentials>> {
        const auto found = settings.credentials.find(reference.name());
        return found == settings.credentials.end() ? std::nullopt : std::optional{found->second};
    };
    all.session.certificates = [&settings](const std::string& host) -> Result<registry::CertificateTexts> {
        const auto found = settings.certificates.find(host);
        return found == settings.certificates.end() ? registry::CertificateTexts{} : found->second;
    };
    return registry::Client{std::move(all)};
}

Result<void> work() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::signal(SIGPIPE, SIG_IGN);
    FdMessage message = TRY(receive_fds(worker_socket, max_message));
    const Json json = TRY(image::parse_json(message.data, max_message));
    const oci::Reader in = TRY(oci::Reader::root(json));
    const std::string verb = TRY(in.required_string("verb"));
    if (message.fds.size() != (verb == "pull" ? 2U : 1U))
        return fail(bad_input("a job comes with its settings"));
    const std::string text = TRY(read_all(message.fds[0].get(), largest_settings));
    const registry::FetchSettings settings = TRY(registry::settings_from(text));
    std::vector<UniqueFd> blobs;
    if (verb == "push") {
        const auto count = TRY(in.required_integer<std::size_t>("blobs"));
        blobs = TRY(receive_blobs(count));
    }
    for (const auto& [name, value] : settings.proxies)
        ::setenv(name.c_str(), value.c_str(), 1);
    TRY_VOID(confine());
    registry::Client client = make_client(settings);
    TRY_VOID(limit_system_calls());
    if (verb == "pull")
        return serve(client, settings, message.fds[1]);
    if (verb == "push")
        return push(client, settings, blobs, [](const image::Progress& progress) {
            if (!send(imaging::to_json(progress)))
                std::_Exit(1); // nobody listens any more
        });
    return log_in(client, settings);
}

int answer(const Result<void>& result) {
    if (result)
        return send({{"done", true}}) ? 0 : 1;
    send({{"error", imaging::to_json(result.error())}});
    return 1;
}

} // namespace
} // namespace ctrd::fetching

int main(int argc, char**) {
    int type = 0;
    socklen_t size = sizeof type;
    if (argc != 1 || ::getsockopt(ctrd::imaging::worker_socket, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        type != SOCK_SEQPACKET) {
        std::fputs("ctr-fetch: it is run by ctrctl, for one image; see ctrctl(1)\n", stderr);
        return 2;
    }
    try {
        return ctrd::fetching::answer(ctrd::fetching::work());
    } catch (const std::exception& error) {
        return ctrd::fetching::answer(ctrd::fail(
            ctrd::Error{std::errc::not_enough_memory, "out of memory or worse: " + std::string{error.what()}}));
    }
}
