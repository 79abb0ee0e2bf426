// One container's terminal: ctrd reads it all the time, so that the payload never waits for want of somebody who looks,
// and passes it on to those who do. What they type goes the other way.
//
// Who is attached and does not read holds the payload up, as with any terminal, but no longer than ten seconds: then
// he is left out.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/bus/event.hpp"

#include <functional>
#include <list>
#include <memory>
#include <string>

namespace ctrd::bus {

class Terminal {
public:
    /// `gone` is told when it has ended and nobody is attached any more: it may be destroyed then.
    static Result<std::unique_ptr<Terminal>> watch(sd_event* event, UniqueFd master, std::function<void()> gone);
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    struct Attached {
        UniqueFd stream{}; // both ways; what was written last comes first. Its end is the terminal's
        UniqueFd window{}; // the terminal itself, for its size (TIOCSWINSZ)
    };
    Result<Attached> attach();

    /// The container has ended: what it has written last goes to who is attached, and then they are let go.
    void end();

private:
    struct Viewer {
        Terminal* owner{nullptr};
        UniqueFd socket{};
        EventSource ready{};
        EventSource patience{};
        std::string output{}; // for him, not taken yet
        std::string input{};  // of him, not taken by the terminal yet
        bool silent{false};   // he has said that he types no more
    };
    Terminal(sd_event* event, UniqueFd master, std::function<void()> gone);

    Result<void> add(UniqueFd socket);
    bool read_some();
    void spread(std::string_view bytes);
    void flush_inputs();
    void take_input(Viewer& viewer);
    bool give_output(Viewer& viewer);
    void be_patient(Viewer& viewer);
    void look_again_later();
    void update(Viewer& viewer);
    void update();
    void drop(const Viewer& viewer);
    static int on_master(sd_event_source* source, int fd, std::uint32_t events, void* userdata) noexcept;
    static int on_viewer(sd_event_source* source, int fd, std::uint32_t events, void* userdata) noexcept;
    static int on_impatience(sd_event_source* source, std::uint64_t time, void* userdata) noexcept;
    static int on_later(sd_event_source* source, std::uint64_t time, void* userdata) noexcept;
    static int on_gone(sd_event_source* source, void* userdata) noexcept;

    sd_event* event_;
    UniqueFd master_;
    std::function<void()> gone_;
    EventSource readable_{};
    EventSource later_{};
    EventSource leaving_{};
    std::string recent_{};
    std::list<Viewer> viewers_{};
    bool hung_up_{false}; // no process of the container has it open at the moment
    bool ended_{false};
};

} // namespace ctrd::bus
