// One entry of the journal with fields of its own, by the journal's native protocol: for the static programs, which
// have no libsystemd.
#pragma once

#include "ctrd/base/result.hpp"

#include <chrono>
#include <span>
#include <string>
#include <utility>

namespace ctrd {

struct JournalField {
    std::string_view name{};
    std::string value{};
};

/// As it goes over the socket.
std::string to_journal_datagram(std::span<const JournalField> fields);

/// Waits for a journal that is busy, but no longer than `patience`.
Result<void> send_to_journal(std::span<const JournalField> fields, std::chrono::milliseconds patience);

/// MESSAGE_ID of what happens to containers; units/ctrd.catalog explains each.
namespace event_id {
constexpr const char* started = "cf64797fea7f40659ab97ee57ea14bfd";
constexpr const char* ended = "b1560f75abe74c079d491283d142c4ea";
constexpr const char* paused = "7ae1f44611734c039e6e8c1c761fc57d";
constexpr const char* resumed = "73851bda625c4e02ac781974b390a480";
constexpr const char* declared = "6187c16d4ed14fbcad1346ac17d9329e";
constexpr const char* undeclared = "89f7991432f748bb9bddf40e1501796e";
constexpr const char* all[] = {started, ended, paused, resumed, declared, undeclared};
/// What everybody may read of one.
constexpr const char* fields = "MESSAGE,CTRD_EVENT,CTRD_NAME,CTRD_IMAGE,CTRD_ID,CTRD_LEADER,CTRD_RESULT,"
                               "CTRD_EXIT_CODE,CTRD_EXIT_STATUS";
} // namespace event_id

} // namespace ctrd
