// What is said to CRIU and what it answers: protocol buffers, of which its RPC needs numbers, texts and messages. The
// names and numbers of the fields are CRIU's (rpc.proto).
#pragma once

#include "ctrd/base/result.hpp"

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace ctrd::ctr_oci {

class CriuMessage {
public:
    CriuMessage& number(unsigned field, std::uint64_t value);
    CriuMessage& flag(unsigned field, bool value) { return number(field, value ? 1 : 0); }
    CriuMessage& text(unsigned field, std::string_view value);
    CriuMessage& message(unsigned field, const CriuMessage& value) { return text(field, value.bytes_); }
    [[nodiscard]] const std::string& bytes() const { return bytes_; }

private:
    void varint(std::uint64_t value);
    std::string bytes_{};
};

enum class CriuType : std::uint64_t { dump = 1, restore = 2, pre_dump = 4, notify = 6 };

struct CriuReply {
    CriuType type{};
    bool success{false};
    int error{0};          // an errno; 0: CRIU has none to tell
    std::string message{}; // the first error of its log; may be empty
    pid_t pid{0};          // restore: the first process
    std::string script{};  // notify: what has happened
    pid_t script_pid{0};
};

Result<CriuReply> parse_criu_reply(std::string_view bytes);

} // namespace ctrd::ctr_oci
