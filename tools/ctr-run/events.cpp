#include "tools/ctr-run/events.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/journal.hpp"
#include "tools/ctr-run/commands.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

namespace ctrd::run {
namespace {

constexpr std::chrono::milliseconds patience{300};
constexpr const char* compiled_folder = "/run/ctrd/compiled/";

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

/// CTRD_IMAGE comes from the unit (LogExtraFields=), as for everything that the container writes. The rest of it does,
/// too, but only where the journal looks at us before we have ended: what events are found by they bring along.
void send(const std::string& name, std::vector<JournalField> fields) {
    fields.push_back({"CTRD_NAME", name});
    fields.push_back({"OBJECT_SYSTEMD_UNIT", "ctr@" + name + ".service"}); // for journalctl -u
    fields.push_back({"CTRD_ID", variable("INVOCATION_ID")});
    fields.push_back({"SYSLOG_IDENTIFIER", "ctr-run"});
    if (auto sent = send_to_journal(fields, patience); !sent)
        print_warning(name, sent.error());
}

std::string end_in_words(const std::string& code, const std::string& status, const std::string& result) {
    std::string text = code == "exited" ? "exited with status " + status
                       : code.empty()   ? "was never there"
                                        : "was ended by SIG" + status;
    return result == "success" || result == "exit-code" || result == "signal" ? text : text + " (" + result + ")";
}

/// A unit that systemd forgets takes the exit status along; the declaration's folder, if there is one, keeps it.
void keep_end(const std::string& name, const std::string& code, const std::string& status) {
    const std::string folder = compiled_folder + name;
    if (code.empty() || ::access(folder.c_str(), F_OK) < 0)
        return;
    if (auto kept = write_atomic(folder + "/ended", code + " " + status + "\n", 0600); !kept)
        print_warning(name, kept.error());
}

} // namespace

void tell_started(const std::string& name, pid_t leader) {
    const std::string pid = std::to_string(leader);
    send(name, {{"MESSAGE", "container '" + name + "' is ready, its first process is " + pid},
                {"MESSAGE_ID", event_id::started},
                {"PRIORITY", "6"},
                {"CTRD_EVENT", "started"},
                {"CTRD_LEADER", pid}});
}

void tell_ended(const std::string& name) {
    const std::string code = variable("EXIT_CODE"), status = variable("EXIT_STATUS"),
                      result = variable("SERVICE_RESULT");
    keep_end(name, code, status);
    send(name,
         {{"MESSAGE", "container '" + name + "' has ended: its first process " + end_in_words(code, status, result)},
          {"MESSAGE_ID", event_id::ended},
          {"PRIORITY", result == "success" ? "6" : "4"},
          {"CTRD_EVENT", "ended"},
          {"CTRD_RESULT", result},
          {"CTRD_EXIT_CODE", code},
          {"CTRD_EXIT_STATUS", status}});
}

} // namespace ctrd::run
