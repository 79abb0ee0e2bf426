#include "ctrd/bus/log.hpp"

#include "ctrd/base/journal.hpp"

#include <systemd/sd-daemon.h>

#include <cstdio>
#include <cstdlib>

namespace ctrd::bus {
namespace {

void print(const char* priority, std::string_view text) {
    static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
    std::string line = journal ? priority : "";
    for (const char c : text)
        line += static_cast<unsigned char>(c) < ' ' ? ' ' : c; // one message is one line, whatever is in it
    line += '\n';
    std::fputs(line.c_str(), stderr);
}

std::string one_line(const Error& error) {
    return error.hint.empty() ? error.message : error.message + "; " + error.hint;
}

} // namespace

void log_error(std::string_view text) { print(SD_ERR, text); }

void log_warning(std::string_view text) { print(SD_WARNING, text); }

void log_info(std::string_view text) { print(SD_INFO, text); }

void log_debug(std::string_view text) { print(SD_DEBUG, text); }

void log_error(const Error& error) { log_error(one_line(error)); }

void log_warning(const Error& error) { log_warning(one_line(error)); }

/// Never waiting: an event that a busy journal does not take is only missing there.
void log_event(const char* id, const char* event, const std::string& container, const std::string& source,
               const std::string& message) {
    const JournalField fields[] = {{"MESSAGE", "container '" + container + "' " + message},
                                   {"MESSAGE_ID", id},
                                   {"PRIORITY", "6"},
                                   {"SYSLOG_IDENTIFIER", "ctrd"},
                                   {"CTRD_EVENT", event},
                                   {"CTRD_NAME", container},
                                   {"CTRD_IMAGE", source}};
    if (auto sent = send_to_journal(fields, std::chrono::milliseconds{0}); !sent)
        log_warning(sent.error());
}

} // namespace ctrd::bus
