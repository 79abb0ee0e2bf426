// An image's layers as one file system: overlayfs over folders that are shared with whoever else uses them.
#pragma once

#include "ctrd/plan/plan.hpp"
#include "ctrd/runtime/id_map.hpp"

#include <span>

namespace ctrd::runtime {

/// The most that overlayfs stacks (OVL_MAX_STACK).
inline constexpr std::size_t max_layers = 500;

/// The folder of the changes and what overlayfs wants in it, unless it is there: changes go on where they were.
Result<void> make_changes(const plan::Stack& stack);

/// Whether all that it names is there; says what is not.
Result<void> check_stack(const plan::Stack& stack);

/// The layers that are EROFS files, mounted and attached nowhere, with the ids that `ids` says; -1 for those that are
/// folders. By who may mount file systems.
Result<std::vector<UniqueFd>> mount_layers(const plan::Stack& stack, const std::optional<plan::IdMap>& ids,
                                           MappedNamespaces& namespaces);

/// A detached mount of the stack; -1 and errno. The caller is in a mount namespace of its own from which nothing
/// propagates: on its way the mount is attached there, over the store's folder "containers".
/// `mapped`: a detached mount of the store with other ids, through which all of it is reached, or -1. It is for a
/// caller who is root of these ids only, and to whom the store's own path is closed.
/// `mounts`: of mount_layers().
/// Without allocation: for the child of a start.
int stack_layers(const plan::Stack& stack, int mapped, std::span<const UniqueFd> mounts) noexcept;

} // namespace ctrd::runtime
