#include "ctrd/runtime/seccomp_agent.hpp"

#include "ctrd/base/process.hpp"

#include <nlohmann/json.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace ctrd::runtime {
namespace {

Result<UniqueFd> connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(os_error(ENAMETOOLONG, "linux.seccomp.listenerPath '" + path + "'"));
    std::memcpy(address.sun_path, path.c_str(), path.size());
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!socket || ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
        return fail(os_error(errno, "cannot connect to linux.seccomp.listenerPath '" + path + "'",
                             "the agent that answers SCMP_ACT_NOTIFY must listen there"));
    return socket;
}

} // namespace

Result<void> hand_to_agent(const Peer& peer, int number) {
    if (!peer.process->seccomp || peer.state == nullptr)
        return fail(os_error(EPROTO, "the container's child sent an unexpected message"));
    const oci::Seccomp& seccomp = *peer.process->seccomp;
    const UniqueFd listener = TRY(steal_fd(peer.pidfd, number).context("the seccomp listener"));
    const bool first = peer.plan != nullptr;
    nlohmann::ordered_json json{{"ociVersion", peer.state->version}, {"fds", {"seccompFd"}}, {"pid", peer.pid}};
    if (!seccomp.listener_metadata.empty())
        json["metadata"] = seccomp.listener_metadata;
    json["state"] = nlohmann::ordered_json::parse(state_json(*peer.state, first ? "creating" : "running", peer.pid));
    const UniqueFd agent = TRY(connect_to(seccomp.listener_path));
    const std::array fds{listener.get()};
    return send_fds(agent.get(), json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), fds)
        .context("linux.seccomp.listenerPath '" + seccomp.listener_path + "'");
}

} // namespace ctrd::runtime
