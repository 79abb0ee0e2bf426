#include "ctrd/bus/authority.hpp"

#include "ctrd/bus/log.hpp"
#include "ctrd/bus/reply.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace ctrd::bus {
namespace {

constexpr const char* polkit = "org.freedesktop.PolicyKit1";
constexpr const char* authority_path = "/org/freedesktop/PolicyKit1/Authority";
constexpr const char* authority_interface = "org.freedesktop.PolicyKit1.Authority";
constexpr std::uint32_t allow_user_interaction = 1;
constexpr std::uint64_t answer_time = 300'000'000; // a person may have to find a password
constexpr unsigned most_waiting = 32;              // of one user, each with a call and its descriptors

int append_question(sd_bus_message* message, const char* caller, const char* action, const std::string& container,
                    bool interactive) {
    int r = sd_bus_message_append(message, "(sa{sv})s", "system-bus-name", 1, "name", "s", caller, action);
    if (r >= 0)
        r = sd_bus_message_append(message, "a{ss}us", 1, "container", container.c_str(),
                                  interactive ? allow_user_interaction : 0U, "");
    return r;
}

struct Verdict {
    bool authorized{false};
    bool challenge{false};
};

int read_verdict(sd_bus_message* answer, Verdict& verdict) {
    int authorized = 0, challenge = 0;
    int r = sd_bus_message_enter_container(answer, 'r', "bba{ss}");
    if (r >= 0)
        r = sd_bus_message_read(answer, "bb", &authorized, &challenge);
    verdict = {authorized != 0, challenge != 0};
    return r;
}

/// polkit asks the bus about him and passes its error on as text. That he left the bus tells us, too, now or later.
bool says_that_he_left(sd_bus_message* answer) {
    const sd_bus_error* error = sd_bus_message_get_error(answer);
    return error != nullptr && error->message != nullptr &&
           std::string_view{error->message}.find("NameHasNoOwner") != std::string_view::npos;
}

void refuse(sd_bus_message* call, bool challenge) {
    if (challenge)
        reply_error(call, error_name::interaction_required,
                    {std::errc::permission_denied, "an administrator's authentication is required", ""});
    else
        reply_error(call, error_name::access_denied, {std::errc::permission_denied, "permission denied", ""});
}

} // namespace

struct Authority::Question {
    const char* action{nullptr};
    std::string container{};
    Then then{};
    Authority* authority{nullptr};
    systemd::BusMessage call{};
    CallerRef caller{};
    systemd::BusSlot slot{};
};

Authority::Authority(sd_bus* bus, Callers& callers) : bus_{bus}, callers_{callers} {}
Authority::~Authority() = default;

int Authority::check(sd_bus_message* call, const char* action, const std::string& container, Then then) {
    return callers_.identify(call, [=, this, then = std::move(then)](sd_bus_message* message, const CallerRef& caller) {
        if (caller->uid() == 0)
            then(message, caller);
        else if (waiting_[caller->uid()] >= most_waiting)
            reply_error(message, error_name::limits_exceeded,
                        bad_input("too many of this user's calls wait for polkit already"));
        else
            ask(std::make_unique<Question>(
                Question{action, container, then, this, systemd::keep(message), caller, {}}));
    });
}

void Authority::ask(std::unique_ptr<Question> question) {
    sd_bus_message* call = question->call.get();
    const bool interactive = sd_bus_message_get_allow_interactive_authorization(call) > 0;
    sd_bus_message* raw = nullptr;
    int r =
        sd_bus_message_new_method_call(bus_, &raw, polkit, authority_path, authority_interface, "CheckAuthorization");
    const systemd::BusMessage message{raw};
    if (r >= 0)
        r = append_question(raw, question->caller->name().c_str(), question->action, question->container, interactive);
    sd_bus_slot* slot = nullptr;
    if (r >= 0)
        r = sd_bus_call_async(bus_, &slot, raw, on_answer, question.get(), answer_time);
    if (r < 0) {
        reply_error(call, error_name::failed, os_error(-r, "cannot ask polkit"));
        return;
    }
    question->slot.reset(slot);
    // polkit sees the same, and asks nobody for a password any more.
    question->caller->on_gone([this, asked = question.get()] { take(asked); });
    ++waiting_[question->caller->uid()];
    questions_.insert(std::move(question));
}

std::unique_ptr<Authority::Question> Authority::take(const Question* question) {
    const auto at = std::ranges::find(questions_, question, &std::unique_ptr<Question>::get);
    auto taken = std::move(questions_.extract(at).value());
    taken->caller->on_gone({});
    if (--waiting_[taken->caller->uid()] == 0)
        waiting_.erase(taken->caller->uid());
    return taken;
}

int Authority::on_answer(sd_bus_message* answer, void* userdata, sd_bus_error*) noexcept {
    const auto* raw = static_cast<Question*>(userdata);
    const auto question = raw->authority->take(raw);
    Verdict verdict;
    if (sd_bus_message_is_method_error(answer, nullptr) != 0) {
        if (!says_that_he_left(answer))
            log_warning(systemd::error_of(answer, "cannot ask polkit, so only root may change something"));
    } else if (const int r = read_verdict(answer, verdict); r < 0)
        log_warning(os_error(-r, "cannot read polkit's answer"));
    if (verdict.authorized)
        question->then(question->call.get(), question->caller);
    else
        refuse(question->call.get(), verdict.challenge);
    return 0;
}

} // namespace ctrd::bus
