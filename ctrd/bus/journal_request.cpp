#include "ctrd/bus/journal_request.hpp"

#include "ctrd/base/journal.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/bus/exec_request.hpp"
#include "ctrd/bus/options.hpp"

#include <algorithm>
#include <cerrno>

namespace ctrd::bus {
namespace {

constexpr std::size_t longest_cursor = 512;
constexpr std::uint64_t latest = UINT64_MAX / 2; // systemd's times end before that

bool is_cursor(std::string_view text) {
    return !text.empty() && text.size() <= longest_cursor && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '=' || c == ';' || c == '-';
    });
}

std::string time_argument(const char* option, std::uint64_t time) {
    return std::string{option} + "@" + std::to_string(time) + "us";
}

/// Every value is glued to its option, so that none can pass for another one.
std::vector<std::string> common_arguments(const JournalRequest& request) {
    std::vector<std::string> arguments{"--no-pager", "--quiet", "--output=json"};
    if (request.follow)
        arguments.emplace_back("--follow");
    if (request.lines)
        arguments.push_back("--lines=" + std::to_string(*request.lines));
    else if (request.follow)
        arguments.emplace_back("--lines=0"); // else it begins with ten old ones
    if (request.since != 0)
        arguments.push_back(time_argument("--since=", request.since));
    if (request.until != 0)
        arguments.push_back(time_argument("--until=", request.until));
    if (!request.after_cursor.empty())
        arguments.push_back("--after-cursor=" + request.after_cursor);
    return arguments;
}

int read_lines(sd_bus_message* call, JournalRequest& request) {
    std::uint64_t lines = 0;
    const int r = read_number(call, lines);
    if (r >= 0)
        request.lines = std::min<std::uint64_t>(lines, INT32_MAX);
    return r;
}

} // namespace

Result<JournalRequest> read_journal_request(sd_bus_message* call, bool of_events) {
    JournalRequest request;
    if (sd_bus_message_read(call, "h", &request.output) < 0)
        return fail(bad_input("malformed arguments"));
    const char* known = of_events ? "there are AfterCursor, Since, Until, Lines, Follow and Container"
                                  : "there are AfterCursor, Since, Until, Lines and Follow";
    TRY_VOID(read_options(call, known, [&](std::string_view option) {
        return option == "AfterCursor"              ? read_text(call, request.after_cursor)
               : option == "Since"                  ? read_number(call, request.since)
               : option == "Until"                  ? read_number(call, request.until)
               : option == "Lines"                  ? read_lines(call, request)
               : option == "Follow"                 ? read_bool(call, request.follow)
               : option == "Container" && of_events ? read_text(call, request.container)
                                                    : -ENOENT;
    }));
    if (!request.after_cursor.empty() && !is_cursor(request.after_cursor))
        return fail(bad_input("'" + printable(request.after_cursor) + "' is not a cursor",
                              "it is an entry's __CURSOR, as it came with that"));
    if (!request.container.empty())
        TRY_VOID(check_container_name(request.container));
    if (request.since > latest || request.until > latest)
        return fail(bad_input("a time is too late", "it is in microseconds since 1970"));
    TRY_VOID(check_stdio(request.output));
    return request;
}

std::vector<std::string> log_arguments(const JournalRequest& request, const std::string& unit) {
    auto arguments = common_arguments(request);
    arguments.push_back("--unit=" + unit);
    return arguments;
}

/// Only root's words count: whoever may write to the journal could make up the rest.
std::vector<std::string> event_arguments(const JournalRequest& request) {
    auto arguments = common_arguments(request);
    arguments.push_back("--output-fields=" + std::string{event_id::fields});
    arguments.emplace_back("_UID=0");
    for (const char* id : event_id::all)
        arguments.push_back(std::string{"MESSAGE_ID="} + id);
    if (!request.container.empty())
        arguments.push_back("CTRD_NAME=" + request.container);
    return arguments;
}

} // namespace ctrd::bus
