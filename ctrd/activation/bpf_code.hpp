// The assembler of linux/bpf.h, as far as our few programs need it.
#pragma once

#include <linux/bpf.h>

namespace ctrd::activation::bpf {

constexpr bpf_insn instruction(int code, int to, int from, int offset, int value) {
    return {static_cast<__u8>(code), static_cast<__u8>(to & 15), static_cast<__u8>(from & 15),
            static_cast<__s16>(offset), value};
}
constexpr bpf_insn move(int to, int from) { return instruction(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }
constexpr bpf_insn set(int to, int value) { return instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
constexpr bpf_insn add(int to, int value) { return instruction(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value); }
constexpr bpf_insn mask(int to, int value) { return instruction(BPF_ALU64 | BPF_AND | BPF_K, to, 0, 0, value); }
constexpr bpf_insn shift_left(int to, int value) { return instruction(BPF_ALU64 | BPF_LSH | BPF_K, to, 0, 0, value); }
constexpr bpf_insn shift_right(int to, int value) { return instruction(BPF_ALU64 | BPF_RSH | BPF_K, to, 0, 0, value); }
constexpr bpf_insn call(int function) { return instruction(BPF_JMP | BPF_CALL, 0, 0, 0, function); }
constexpr bpf_insn leave() { return instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }
constexpr bpf_insn load(int size, int to, int at, int offset) {
    return instruction(BPF_LDX | BPF_MEM | size, to, at, offset, 0);
}
constexpr bpf_insn store(int size, int at, int offset, int from) {
    return instruction(BPF_STX | BPF_MEM | size, at, from, offset, 0);
}
constexpr bpf_insn store_value(int size, int at, int offset, int value) {
    return instruction(BPF_ST | BPF_MEM | size, at, 0, offset, value);
}
constexpr bpf_insn add_to_memory(int at, int offset, int from) {
    return instruction(BPF_STX | BPF_ATOMIC | BPF_DW, at, from, offset, BPF_ADD);
}
constexpr bpf_insn skip(int distance) { return instruction(BPF_JMP | BPF_JA, 0, 0, distance, 0); }
constexpr bpf_insn skip_if_equal(int one, int value, int distance) {
    return instruction(BPF_JMP | BPF_JEQ | BPF_K, one, 0, distance, value);
}
constexpr bpf_insn skip_unless_equal(int one, int value, int distance) {
    return instruction(BPF_JMP | BPF_JNE | BPF_K, one, 0, distance, value);
}
/// A map's descriptor becomes a pointer in `to`: two instructions, this and the one below.
constexpr bpf_insn map(int to, int fd) { return instruction(BPF_LD | BPF_DW | BPF_IMM, to, BPF_PSEUDO_MAP_FD, 0, fd); }
constexpr bpf_insn map_second_half() { return instruction(0, 0, 0, 0, 0); }

} // namespace ctrd::activation::bpf
