#include "ctrd/activation/compiled.hpp"

#include <sys/stat.h>

namespace ctrd::activation {

std::string compiled_folder(std::string_view container) { return "/run/ctrd/compiled/" + std::string{container}; }

std::uint64_t compiled_time(std::string_view container) {
    struct stat st {};
    if (::stat((compiled_folder(container) + "/config.json").c_str(), &st) < 0)
        return 0;
    return static_cast<std::uint64_t>(st.st_mtim.tv_sec) * 1'000'000 +
           static_cast<std::uint64_t>(st.st_mtim.tv_nsec) / 1000;
}

} // namespace ctrd::activation
