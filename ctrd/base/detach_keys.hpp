// The keys that take a user off a terminal and leave its program running, as Docker and Podman write them:
// "ctrl-p,ctrl-q". Each is a character, or "ctrl-" and a letter or one of @ [ \ ] ^ _.
#pragma once

#include "ctrd/base/result.hpp"

#include <string>
#include <string_view>

namespace ctrd {

class DetachKeys {
public:
    /// Of the text; "" is no keys at all: nothing that is typed detaches.
    static Result<DetachKeys> parse(std::string_view text);

    struct Typed {
        std::string bytes{};  // for the program
        bool detached{false}; // the keys are complete; what was typed after them is lost
    };
    /// What the user has typed. A beginning of the keys is held back until it is clear what it becomes.
    Typed take(std::string_view typed);

private:
    std::string keys_{};
    std::size_t held_{0}; // so many of the keys have been typed
};

} // namespace ctrd
