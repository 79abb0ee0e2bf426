// bpf(2), as far as the guard and the counter of connections need it: programs of a few instructions on one cgroup.
#pragma once

#include "ctrd/base/fd.hpp"

#include <linux/bpf.h>

#include <functional>
#include <span>

namespace ctrd::activation::bpf {

/// A BPF_PROG_TYPE_CGROUP_SOCK_ADDR program that answers EPERM to every call at `where`.
Result<UniqueFd> load_refusal(bpf_attach_type where, const char* name);

/// Any other program, checked by the kernel.
Result<UniqueFd> load(bpf_prog_type type, bpf_attach_type where, const char* name, std::span<const bpf_insn> program);

/// An array of one element that can be mapped into memory.
Result<UniqueFd> make_cell(std::uint32_t size, const char* name);
/// A hash table in which the entry that was longest out of use makes room for a new one.
Result<UniqueFd> make_lru(std::uint32_t key_size, std::uint32_t value_size, std::uint32_t entries, const char* name);
/// A hash table whose entries take memory when they are made.
Result<UniqueFd> make_hash(std::uint32_t key_size, std::uint32_t value_size, std::uint32_t entries, const char* name);
/// Those entries for whose key `is_gone` says so.
Result<void> erase_if(int map, std::uint32_t key_size, const std::function<bool(const void* key)>& is_gone);
/// Its key and value are as long as the map was made for.
Result<void> put(int map, const void* key, const void* value);

/// That of the program with this name which is attached at `where` to this cgroup; ENOENT where there is none.
Result<UniqueFd> find_cell(int cgroup, bpf_attach_type where, const char* name);
/// Any of its maps, in the order in which the program's code names them.
Result<UniqueFd> find_map(int cgroup, bpf_attach_type where, const char* name, std::size_t index);

/// True where a program of this name is attached at `where` to this very cgroup.
Result<bool> is_attached(int cgroup, bpf_attach_type where, const char* name);

/// Beside whatever else is attached there (BPF_F_ALLOW_MULTI).
Result<void> attach(int cgroup, int program, bpf_attach_type where);

} // namespace ctrd::activation::bpf
