// Everything of a plan that needs the host: opened or compiled by the parent, with full error context, and handed to
// the child as descriptors and plain memory. Errors here leave nothing behind but destructors.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/plan/plan.hpp"
#include "ctrd/runtime/hooks.hpp"
#include "ctrd/runtime/seccomp.hpp"

#include <optional>
#include <vector>

namespace ctrd::runtime {

/// A detached mount for a BindMount, BindCgroup or AttachRootfs step; other steps have none. Nor has any of an
/// unprivileged caller: the child, who has the right to clone mounts once it is in its namespaces, does that itself.
struct Source {
    UniqueFd tree{};
    bool is_folder{false};
    std::vector<UniqueFd> layers{}; // of a StackRootfs: mount_layers()
};

/// REMOTE_ADDR= and REMOTE_PORT=, the last two of the environment: where their values belong, as long as those in
/// ConnectionReport.
struct PeerEnvironment {
    char** first{nullptr}; // in envp
    char* address{nullptr};
    char* port{nullptr};
};

/// args, env and candidates as execve wants them; seccomp as the kernel wants it.
struct PreparedProcess {
    std::vector<char*> argv{};
    std::vector<char*> init_argv{}; // of an init that runs the payload
    std::vector<char*> envp{};
    std::vector<const char*> candidates{};
    std::vector<std::uint32_t> groups{};
    std::optional<SeccompFilter> seccomp{};
    std::vector<unsigned long> memory_nodes{};  // as set_mempolicy(2) takes them
    std::vector<std::string> own_environment{}; // LISTEN_*
    char* listen_pid{nullptr};                  // digits of LISTEN_PID=, written by the child
    std::vector<std::string> peer_environment{};
    PeerEnvironment peer{};
};

struct Prepared {
    std::string cgroup{};
    std::vector<Source> sources{}; // one per step
    PreparedProcess process{};
    std::vector<PreparedHook> container_hooks{};
    std::vector<PreparedHook> start_hooks{};
    std::vector<std::string> kernel_mounts{}; // of the host, for a rootfs that is not pivoted into
};

Result<Prepared> prepare(const plan::Plan& plan, const std::string& cgroup);
/// `compiled`: the plan's profile, if somebody has it already.
Result<PreparedProcess> prepare_process(const plan::ProcessPlan& plan, const SeccompFilter* compiled = nullptr);
/// `init_args` must live as long as the result.
void add_init(PreparedProcess& process, const std::vector<std::string>& init_args);
void add_listen_environment(PreparedProcess& process, std::size_t count, const std::string& names);
/// The last of these.
void add_peer_environment(PreparedProcess& process);

} // namespace ctrd::runtime
