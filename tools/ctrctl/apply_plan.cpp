#include "tools/ctrctl/apply_plan.hpp"

namespace ctrd::ctl {
namespace {

Decision remove(const Situation& now) {
    // Before the reload: the service's stop command still has the config with its stop signal. The socket goes first,
    // or a connection would start the service again.
    return {.name = now.name,
            .summary = now.service_up || now.socket_up ? "removed, stopped" : "removed",
            .stop_socket_before = now.socket_up,
            .stop_service_before = now.service_up,
            .reload = true};
}

Decision create(const Situation& now) {
    Decision decision{.name = now.name, .summary = "created", .reload = true};
    decision.start_socket = !now.listens.empty() && now.start != config::Start::manual;
    decision.start_service = now.start == config::Start::boot;
    // A service that is left of an earlier declaration would keep the socket from starting, and is not this one.
    decision.stop_service_before = now.service_up;
    if (decision.start_socket)
        decision.summary += ", listening on " + join_words(now.listens);
    if (decision.start_service)
        decision.summary += ", started";
    if (!now.triggers.empty() && now.start != config::Start::manual)
        decision.summary += ", starts when " + join_words(now.triggers);
    if (now.start == config::Start::manual)
        decision.summary += "; 'ctrctl start " + now.name + "' starts it";
    return decision;
}

/// A socket unit can't be started while its service runs, so that one gives way for a moment.
void renew_socket(const Situation& now, Decision& decision) {
    decision.stop_socket_before = now.socket_up;
    decision.stop_service_before = now.service_up;
    decision.start_socket = !now.listens.empty() && (now.start != config::Start::manual || now.socket_up);
    decision.start_service = !now.accepts && (now.service_up || now.start == config::Start::boot);
}

std::string describe_change(const Situation& now, const Decision& decision) {
    std::string text = now.changes.any() ? "changed" : "unchanged";
    if (now.changes.image)
        text += ", its image is now " + now.image;
    if (decision.start_socket)
        text += ", listening on " + join_words(now.listens);
    else if (decision.stop_socket_before)
        text += ", listening no more";
    if (decision.restart_service || (decision.start_service && decision.stop_service_before))
        text += ", restarted";
    else if (decision.start_service)
        text += ", started";
    else if (decision.renew_pool)
        text += ", those that wait for a connection are made anew";
    else if (now.changes.config && !now.service_up)
        text += ", used from its next start on";
    else if (now.changes.service && now.service_up)
        text += ", in effect without a restart";
    return text;
}

} // namespace

std::string join_words(const std::vector<std::string>& words) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i)
        text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
    return text;
}

Decision decide(const Situation& now) {
    if (!now.declared)
        return remove(now);
    if (now.changes.added)
        return create(now);
    Decision decision{.name = now.name, .reload = now.changes.any()};
    const bool wants_socket = !now.listens.empty() && now.start != config::Start::manual;
    // A running service keeps its listener whatever became of the socket unit: it is disturbed only if asked for.
    const bool socket_is_down = wants_socket && !now.socket_up && (!now.service_up || now.named);
    if (now.changes.socket || now.socket_broken || socket_is_down)
        renew_socket(now, decision);
    else if (now.service_up && (now.changes.config || now.service_outdated))
        decision.restart_service = true;
    // One that failed is tried again if the reason may be gone: its declaration is another one, or the user asks for
    // it.
    if (now.service_failed && now.start == config::Start::boot && (now.changes.any() || now.named))
        decision.start_service = true;
    if (now.new_at_boot && !now.service_up)
        decision.start_service = true;
    decision.renew_pool = now.has_pool && now.socket_up && now.changes.any() && !decision.start_socket;
    if (!decision.does_nothing())
        decision.summary = describe_change(now, decision);
    return decision;
}

} // namespace ctrd::ctl
