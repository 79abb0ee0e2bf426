#include "ctrd/bus/authority.hpp"

#include "ctrd/bus/log.hpp"
#include "ctrd/bus/reply.hpp"

#include <algorithm>
#include <cerrno>

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

void refuse(sd_bus_message* call, bool challenge) {
    if (challenge)
        reply_error(call, error_name::interaction_required,
                    {std::errc::permission_denied, "an administrator's authentication is required", ""});
    else
        reply_error(call, error_name::access_denied, {std::errc::permission_denied, "permission denied", ""});
}

} // namespace

struct Authority::Question {
    Authority* authority{nullptr};
    systemd::BusMessage call{};
    systemd::BusSlot slot{};
    uid_t caller{0};
    Then then{};
};

Authority::Authority(sd_bus* bus) : bus_{bus} {}
Authority::~Authority() = default;

int Authority::check(sd_bus_message* call, const char* action, const std::string& container, Then then) {
    const auto known = caller_of(call);
    if (!known)
        return reply_error(call, error_name::access_denied, known.error());
    const uid_t caller = *known;
    if (caller == 0) {
        then(call, caller);
        return 1;
    }
    if (waiting_[caller] >= most_waiting)
        return reply_error(call, error_name::limits_exceeded,
                           bad_input("too many of this user's calls wait for polkit already"));
    auto question = std::make_unique<Question>(Question{this, systemd::keep(call), {}, caller, std::move(then)});
    return ask(std::move(question), action, container);
}

int Authority::ask(std::unique_ptr<Question> question, const char* action, const std::string& container) {
    sd_bus_message* call = question->call.get();
    const bool interactive = sd_bus_message_get_allow_interactive_authorization(call) > 0;
    sd_bus_message* raw = nullptr;
    int r =
        sd_bus_message_new_method_call(bus_, &raw, polkit, authority_path, authority_interface, "CheckAuthorization");
    const systemd::BusMessage message{raw};
    if (r >= 0)
        r = append_question(raw, sd_bus_message_get_sender(call), action, container, interactive);
    sd_bus_slot* slot = nullptr;
    if (r >= 0)
        r = sd_bus_call_async(bus_, &slot, raw, on_answer, question.get(), answer_time);
    if (r < 0)
        return reply_error(call, error_name::failed, os_error(-r, "cannot ask polkit"));
    question->slot.reset(slot);
    ++waiting_[question->caller];
    questions_.insert(std::move(question));
    return 1;
}

int Authority::on_answer(sd_bus_message* answer, void* userdata, sd_bus_error*) noexcept {
    auto* raw = static_cast<Question*>(userdata);
    auto& self = *raw->authority;
    const auto at = std::ranges::find(self.questions_, raw, &std::unique_ptr<Question>::get);
    const auto question = std::move(self.questions_.extract(at).value());
    if (--self.waiting_[question->caller] == 0)
        self.waiting_.erase(question->caller);
    Verdict verdict;
    if (sd_bus_message_is_method_error(answer, nullptr) != 0)
        log_warning(systemd::error_of(answer, "cannot ask polkit, so only root may change something"));
    else if (const int r = read_verdict(answer, verdict); r < 0)
        log_warning(os_error(-r, "cannot read polkit's answer"));
    if (verdict.authorized)
        question->then(question->call.get(), question->caller);
    else
        refuse(question->call.get(), verdict.challenge);
    return 0;
}

} // namespace ctrd::bus
