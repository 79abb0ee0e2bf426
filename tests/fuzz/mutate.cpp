// A fuzz target without a fuzzer: its corpus, changed at random but always in the same way, CTRD_TEST_CYCLES times
// (20000). It finds less than libFuzzer, which is told what a change has reached, but runs with every test run.
//
//     TARGET CORPUS-FOLDER
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Random = std::minstd_rand;

std::vector<std::string> read_corpus(const char* folder) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator{folder})
        paths.push_back(entry.path());
    std::ranges::sort(paths);
    std::vector<std::string> texts;
    for (const auto& path : paths) {
        std::ifstream file{path, std::ios::binary};
        texts.emplace_back(std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{});
    }
    return texts;
}

std::size_t below(Random& random, std::size_t end) { return end == 0 ? 0 : random() % end; }

/// One change: a byte, a piece taken out, doubled, or brought from another text.
void change(std::string& text, const std::string& other, Random& random) {
    const std::size_t at = below(random, text.size() + 1);
    const std::size_t length = below(random, 12) + 1;
    switch (random() % 6) {
    case 0:
        if (at < text.size())
            text[at] = static_cast<char>(random() % 256);
        break;
    case 1:
        text.erase(at, length);
        break;
    case 2:
        text.insert(at, text.substr(below(random, text.size()), length));
        break;
    case 3:
        text.insert(at, other.substr(below(random, other.size()), length * 4));
        break;
    case 4:
        text.insert(at, 1, "\0\n\r\"\\:/@.,=[]{}%-+ \x7f\xff"[random() % 21]);
        break;
    default:
        if (at < text.size())
            text[at] = static_cast<char>(text[at] ^ 1 << random() % 8);
    }
}

void run(const std::string& text) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

} // namespace

int main(int argc, char** argv) {
    const auto corpus = argc == 2 ? read_corpus(argv[1]) : std::vector<std::string>{};
    if (corpus.empty()) {
        std::fputs("there is no corpus\n", stderr);
        return 2;
    }
    const char* cycles = std::getenv("CTRD_TEST_CYCLES");
    const long count = cycles != nullptr ? std::atol(cycles) : 20000;
    for (const auto& text : corpus)
        run(text);
    Random random{1};
    for (long i = 0; i < count; ++i) {
        std::string text = corpus[below(random, corpus.size())];
        for (std::size_t changes = below(random, 8) + 1; changes > 0; --changes)
            change(text, corpus[below(random, corpus.size())], random);
        run(text);
    }
}
