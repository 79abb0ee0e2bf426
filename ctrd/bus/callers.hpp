// Who calls, and that he has left: asked of the bus, which is never waited for.
#pragma once

#include "ctrd/bus/event.hpp"
#include "machined-plugin/bus_types.hpp"

#include <sys/types.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

namespace ctrd::bus {

class Callers;

/// Of one call; held as long as that is worked on.
class Caller : public std::enable_shared_from_this<Caller> {
public:
    Caller(Callers& callers, std::string name);
    ~Caller();
    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;

    [[nodiscard]] const std::string& name() const { return name_; } // on the bus; no other ever gets it
    /// The effective user; nobody can lie about it.
    [[nodiscard]] uid_t uid() const { return uid_; }
    /// Told at most once, when he has left the bus.
    void on_gone(std::function<void()> gone) { gone_ = std::move(gone); }

private:
    friend Callers;
    Callers& callers_;
    std::string name_;
    std::uint64_t number_; // in the order in which they came
    uid_t uid_{0};
    std::function<void()> gone_{};
};
using CallerRef = std::shared_ptr<Caller>;

class Callers {
public:
    explicit Callers(sd_bus* bus);
    ~Callers();
    Callers(const Callers&) = delete;
    Callers& operator=(const Callers&) = delete;

    /// Does `then` when the bus has said who the caller is; the call of one who has left is dropped. Calls go on in the
    /// order in which they came. Returns what a method handler returns.
    using Then = std::function<void(sd_bus_message* call, const CallerRef& caller)>;
    int identify(sd_bus_message* call, Then then);

private:
    friend Caller;
    struct Question;
    Result<void> ask(std::unique_ptr<Question> question);
    void ask_again(std::unique_ptr<Question> question);
    std::unique_ptr<Question> take(const Question* question);
    void watch();
    void forget(Caller* caller);
    static int on_answer(sd_bus_message* answer, void* userdata, sd_bus_error* error) noexcept;
    static int on_watched(sd_bus_message* answer, void* userdata, sd_bus_error* error) noexcept;
    static int on_left(sd_bus_message* signal, void* userdata, sd_bus_error* error) noexcept;
    void look_later();
    static int on_time(sd_event_source* source, std::uint64_t usec, void* userdata) noexcept;
    static int on_names(sd_bus_message* answer, void* userdata, sd_bus_error* error) noexcept;
    template <class Is> void tell_gone(const Is& is_gone);

    sd_bus* bus_;
    systemd::BusSlot watch_{}; // while there is any caller
    EventSource look_{};       // the same
    systemd::BusSlot names_{};
    std::uint64_t asked_for_{0}; // callers with lower numbers were there when the names were asked for
    std::uint64_t next_number_{0};
    std::set<Caller*> known_{};
    std::set<std::unique_ptr<Question>> questions_;
};

} // namespace ctrd::bus
