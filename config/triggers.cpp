#include "config/triggers.hpp"

#include "config/checks.hpp"
#include "config/keys.hpp"
#include "config/syntax.hpp"
#include "config/units_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace ctrd::config {
namespace {

using Kind = TriggerSpec::Kind;

struct Meaning {
    std::string_view setting; // of the unit
    std::string_view words;   // "starts when ..."
    bool is_timer;
};
constexpr std::array<std::string_view, 5> keys{"path-exists", "path-changed", "directory-not-empty", "calendar",
                                               "every"};
constexpr std::array<Meaning, keys.size()> meanings{{
    {"PathExists", "'{}' exists", false},
    {"PathChanged", "'{}' was changed", false},
    {"DirectoryNotEmpty", "'{}' holds something", false},
    {"OnCalendar", "it is '{}'", true},
    {"OnUnitInactiveSec", "'{}' have passed since its last end", true},
}};

const Meaning& meaning_of(const TriggerSpec& trigger) { return meanings.at(static_cast<std::size_t>(trigger.kind)); }

/// What systemd.time(7) has no other characters for; the rest of its grammar only systemd itself knows.
bool may_be_calendar(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
        return std::isalnum(c) != 0 || std::string_view{" *:/,.-~+_"}.contains(static_cast<char>(c));
    });
}

Result<void> check_value(const TriggerSpec& trigger) {
    if (trigger.kind == Kind::calendar)
        return may_be_calendar(trigger.value)
                   ? Result<void>{}
                   : fail(bad_input(fmt::format("'{}' is not a time of the calendar", trigger.value),
                                    "for example \"daily\" or \"Mon 04:00\"; see systemd.time(7)"));
    if (trigger.kind != Kind::every)
        return check_absolute_path(trigger.value);
    const auto duration = parse_duration(trigger.value);
    if (!duration)
        return fail(duration.error());
    if (*duration < 1'000'000 || *duration == UnitSpec::infinity)
        return fail(bad_input("it must be at least a second", "for example \"15min\""));
    return {};
}

std::string trigger_lines(const UnitSpec& spec, bool timers) {
    std::string text;
    for (const TriggerSpec& trigger : spec.triggers) {
        const Meaning& meaning = meaning_of(trigger);
        if (meaning.is_timer != timers)
            continue;
        const std::string value = timers ? trigger.value : clean_path(trigger.value);
        text += fmt::format("{}={}\n", meaning.setting, unit_text(value));
        if (trigger.kind == Kind::every) // the first time: after boot, or after the declaration
            text += fmt::format("OnActiveSec={}\n", value);
    }
    return text;
}

void add_unit(const UnitSpec& spec, const char* type, const char* section, const std::string& lines,
              Compiled& compiled) {
    if (lines.empty())
        return;
    const auto unit = fmt::format("ctr@{}.{}", spec.name, type);
    compiled.files.push_back({unit, unit_head(spec) + fmt::format("Description={} ({})\n\n[{}]\n{}",
                                                                  unit_description(spec), type, section, lines)});
    if (start_of(spec) != Start::manual)
        compiled.links.push_back({fmt::format("{}s.target.wants/{}", type, unit), "../" + unit});
}

} // namespace

std::span<const std::string_view> trigger_keys() { return keys; }

bool has_triggers(const UnitSpec& spec, bool timers) {
    return std::ranges::any_of(spec.triggers,
                               [&](const TriggerSpec& one) { return meaning_of(one).is_timer == timers; });
}

std::string describe(const TriggerSpec& trigger) {
    return fmt::format(fmt::runtime(meaning_of(trigger).words), trigger.value);
}

Diagnostics check_triggers(const UnitSpec& spec) {
    Diagnostics found;
    for (std::size_t i = 0; i < spec.triggers.size(); ++i) {
        const auto at = origin_of(spec, fmt::format("start-on.{}", i));
        if (auto good = check_value(spec.triggers[i]); !good)
            found.push_back({at,
                             fmt::format("'{}': {}", keys.at(static_cast<std::size_t>(spec.triggers[i].kind)),
                                         good.error().message),
                             good.error().hint});
    }
    if (spec.triggers.empty())
        return found;
    const auto at = origin_of(spec, "start-on.0");
    if (accepts(spec))
        found.push_back({at, "[[start-on]] means nothing with 'accept': only a connection can make a container for it",
                         "make a container of its own for what is to be started otherwise"});
    if (spec.start == Start::boot || (!spec.start && start_of(spec) == Start::boot))
        found.push_back({at, "[[start-on]] means nothing for a container that is there from boot on",
                         "leave 'start' and 'standby' out"});
    return found;
}

void add_trigger_units(const UnitSpec& spec, Compiled& compiled) {
    add_unit(spec, "path", "Path", trigger_lines(spec, false), compiled);
    add_unit(spec, "timer", "Timer", trigger_lines(spec, true), compiled);
}

} // namespace ctrd::config
