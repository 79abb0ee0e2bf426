// What a fuzz target claims of input that was accepted: a broken promise is a crash, which the fuzzer keeps.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace ctrd::fuzz {

inline void promise(bool kept, const char* what) {
    if (kept)
        return;
    std::fprintf(stderr, "promise broken: %s\n", what);
    std::abort();
}

} // namespace ctrd::fuzz
