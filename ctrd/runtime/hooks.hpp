// The hooks of config.md, and the state that they get on their standard input (runtime.md, "State").
//
//     createRuntime     parent   before `go` of the steps that follow; the host's namespaces
//     createContainer   child    the container's namespaces, the host's paths
//     startContainer    child    the payload's own rights, just before its exec
//     poststart         parent   after the exec
//     poststop          parent   after the container is gone
//
// Each gets the environment that its configuration names and nothing else (CVE-2025-23266), no descriptor but the
// standard ones, and default signals.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/oci/spec.hpp"

#include <sys/types.h>

#include <chrono>
#include <map>

namespace ctrd::runtime {

/// What of a container's state its runtime knows and a plan does not.
struct StateFacts {
    std::string id{};
    std::string version{}; // ociVersion
    std::string bundle{};
    std::map<std::string, std::string> annotations{};
};

std::string state_json(const StateFacts& facts, std::string_view status, pid_t pid);

/// The parent's: one after the other, up to the first that fails. `kind` is for the message.
Result<void> run_hooks(const std::vector<oci::Hook>& hooks, std::string_view kind, const std::string& state);

/// How long those of a start may take together, besides the start itself.
std::chrono::milliseconds time_for(const oci::Hooks& hooks);

/// A hook as the child can run it, without allocating. Points into the oci::Hook that it was made of.
struct PreparedHook {
    const char* path{nullptr};
    std::vector<char*> argv{};
    std::vector<char*> envp{};
    int timeout_ms{-1};
};
/// One that has no environment of its own gets `inherited`.
std::vector<PreparedHook> prepare_hooks(const std::vector<oci::Hook>& hooks,
                                        const std::vector<std::string>& inherited = {});

/// `state_fd`: a file with the state. 0, an errno, or minus the hook's wait status; ETIMEDOUT when it took too long.
int run_prepared_hook(const PreparedHook& hook, int state_fd) noexcept;

/// The sentence for such a number.
Error hook_error(const oci::Hook& hook, std::string_view kind, int result, std::string_view said = {});

} // namespace ctrd::runtime
