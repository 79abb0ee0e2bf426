// attack MODE [ARGUMENT...]; see attack.hpp.
#include "tests/attack/attack.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    const auto is = [&](const char* mode, int arguments) {
        return argc == 2 + arguments && std::strcmp(argv[1], mode) == 0;
    };
    if (is("swap", 2))
        return attack::swap(argv[2], argv[3]);
    if (is("held", 1))
        return attack::held(argv[2]);
    if (is("look", 2))
        return attack::look(argv[2], std::atoi(argv[3]));
    if (is("grab", 1))
        return attack::grab(std::atoi(argv[2]));
    if (is("keyring", 0))
        return attack::keyring();
    if (is("alg", 0))
        return attack::alg();
    if (is("project", 1))
        return attack::project(argv[2]);
    std::fputs("usage: attack swap ONE OTHER | held MARKER | look MARKER SECONDS | grab SECONDS | keyring | alg | "
               "project FOLDER\n",
               stderr);
    return 64;
}
