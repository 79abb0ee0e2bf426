#include "tests/attack/attack.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace attack {

int swap(const char* one, const char* other) {
    std::puts("swapping");
    while (::renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) == 0)
        continue;
    std::perror("swap");
    return 1;
}

} // namespace attack
