// ctr-image: takes images apart for ctrctl, confined to the store (sandbox.hpp). It is started with a socket as
// descriptor 3 and lives for one request (protocol.hpp).
#include "ctrd/base/file.hpp"
#include "ctrd/image/check_layer.hpp"
#include "ctrd/image/containers_storage.hpp"
#include "ctrd/image/docker_storage.hpp"
#include "ctrd/image/pack.hpp"
#include "ctrd/image/worker_protocol.hpp"
#include "tools/ctr-image/sandbox.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <mutex>

namespace ctrd::imaging {
namespace {

bool send(const Json& json) {
    const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    return ::send(worker_socket, text.data(), text.size(), MSG_NOSIGNAL) >= 0;
}

using Tags = std::vector<image::Tag>;

Result<Tags> save(const image::Store& store, const Request& request, int output) {
    TRY_VOID(image::save_images(store, request.tags, request.kind, output));
    return Tags{};
}

Result<Tags> commit(const image::Store& store, const Request& request, int folder) {
    if (!request.base)
        return fail(bad_input("a commit has a base"));
    const image::LoadRequest& load = request.load;
    const image::Tag tag = TRY(image::commit_changes(
        store, folder, {*request.base, load.name, request.author, request.message, load.source, load.options}));
    return Tags{tag};
}

Result<Tags> write_tree(int folder, int output, const image::Owners& owners) {
    image::TarWriter tar{[output](std::string_view data) { return write_all(output, data); }};
    TRY_VOID(image::pack(folder, image::Packing::tree, tar, owners));
    return Tags{};
}

/// verify and rebuild: of a layer that is there.
Result<Tags> look_at_layer(const image::Store& store, const Request& request) {
    if (!request.base)
        return fail(bad_input("a layer is one of an image"));
    const image::Image whole = TRY(store.load(*request.base));
    if (request.layer >= whole.chain.size())
        return fail(bad_input("the image has no such layer"));
    if (request.verb == "rebuild") {
        if (request.workspace.empty() || request.workspace.find('/') != std::string::npos ||
            request.workspace[0] == '.')
            return fail(bad_input("a layer is made anew in a folder of the store's"));
        const UniqueFd folder =
            TRY(open_at(store.root(), "tmp/" + request.workspace, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        TRY_VOID(image::rebuild_layer(store, whole, request.layer, request.load.options.verity, folder.get()));
        return Tags{};
    }
    TRY_VOID(request.quick ? image::check_measures(store, whole.chain[request.layer])
                           : image::check_layer(store, whole, request.layer));
    return Tags{};
}

Result<Tags> work(const image::Store& store, Request& request, std::span<UniqueFd> given) {
    if (given.size() != (request.verb == "export" ? 2 : 1))
        return fail(bad_input("a request has a store, an input and maybe an output"));
    UniqueFd& input = given[0];
    if (request.verb == "save")
        return save(store, request, input.get());
    if (request.verb == "commit")
        return commit(store, request, input.get());
    if (request.verb == "export")
        return write_tree(input.get(), given[1].get(), request.owners);
    if (request.verb == "verify" || request.verb == "rebuild")
        return look_at_layer(store, request);
    if (request.verb == "load")
        return image::load_archive(store, std::move(input), request.load);
    if (request.verb == "import") {
        const image::Tag tag = TRY(image::import_rootfs(store, std::move(input), request.config, request.load));
        return std::vector{tag};
    }
    if (request.verb == "storage") {
        const image::Tag tag = TRY(image::load_from_containers_storage(store, std::move(input), request.load));
        return std::vector{tag};
    }
    if (request.verb == "docker-storage") {
        const image::Tag tag = TRY(image::load_from_docker_storage(store, std::move(input), request.load));
        return std::vector{tag};
    }
    if (request.verb == "pull") {
        const image::Fetcher fetcher{std::move(input)};
        const image::Tag tag =
            TRY(image::pull(store, fetcher, {request.candidates, request.load.platform, request.load.options}));
        return std::vector{tag};
    }
    return fail(bad_input("unknown verb '" + printable(request.verb) + "'"));
}

Result<Tags> serve() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::signal(SIGPIPE, SIG_IGN); // who reads what we write may have gone: that is an error with a text
    FdMessage message = TRY(receive_fds(worker_socket, max_message));
    if (message.fds.size() < 2)
        return fail(bad_input("a request has a store and an input"));
    const Json json = TRY(image::parse_json(message.data, max_message));
    Request request = TRY(request_from(json));
    Confined confined = TRY(confine(std::move(message.fds[0]), std::span{message.fds}.subspan(1)));
    TRY_VOID(limit_system_calls());
    request.load.options.progress = [](const image::Progress& progress) {
        if (!send(to_json(progress)))
            std::_Exit(1); // nobody listens any more; what was begun is taken away by the next one
    };
    const image::Store store = TRY(image::Store::at(std::move(confined.store)));
    return work(store, request, std::span{message.fds}.subspan(1));
}

int answer(const Result<Tags>& result) {
    if (result)
        return send({{"tags", to_json(*result)}}) ? 0 : 1;
    send({{"error", to_json(result.error())}});
    return 1;
}

} // namespace
} // namespace ctrd::imaging

int main(int argc, char**) {
    int type = 0;
    socklen_t size = sizeof type;
    if (argc != 1 || ::getsockopt(ctrd::imaging::worker_socket, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        type != SOCK_SEQPACKET) {
        std::fputs("ctr-image: it is run by ctrctl, for one image; see ctrctl(1)\n", stderr);
        return 2;
    }
    try {
        return ctrd::imaging::answer(ctrd::imaging::serve());
    } catch (const std::exception& error) {
        return ctrd::imaging::answer(ctrd::fail(
            ctrd::Error{std::errc::not_enough_memory, "out of memory or worse: " + std::string{error.what()}}));
    }
}
