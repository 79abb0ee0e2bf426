// fs-verity: the kernel keeps a hash tree of a file, lets nobody write to the file any more, and compares each block
// with the tree whenever it is read from the disk. What the kernel has measured of a layer's files is kept beside it,
// so a look at the layer needs no file to be read.
//
// The record of a layer, for each of its regular files in the order of a walk in which names are sorted:
//
//     HEX PATH NUL        fs-verity's digest of it by SHA-256; "-" for a file that has none
//     end NUL
#pragma once

#include "ctrd/image/budget.hpp"
#include "ctrd/image/store.hpp"

namespace ctrd::image {

/// Whether the file system of the store has it; tried with a file.
Result<bool> can_have_verity(const Store& store);

/// Seals all regular files below `tree`, which nobody has open for writing, and writes the record, sealed as well, to a
/// new file of `workspace`. What that takes on the disk is charged to `budget`. Of files with holes only the first GiB
/// is sealed: the kernel would hash what a stranger has claimed at no cost.
Result<void> seal_layer(const Workspace& workspace, int tree, const std::string& record, const BudgetRef& budget);

/// The first file below `tree` of which the kernel does not say what `record` says, for people.
Result<std::optional<std::string>> first_unsealed(int tree, UniqueFd record);

} // namespace ctrd::image
