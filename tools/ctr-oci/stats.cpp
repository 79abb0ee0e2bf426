#include "tools/ctr-oci/stats.hpp"

#include "ctrd/base/file.hpp"

#include <dirent.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <memory>

namespace ctrd::ctr_oci {
namespace {

using Json = nlohmann::ordered_json;
using Values = std::map<std::string, std::uint64_t, std::less<>>;
constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> result;
    while (!text.empty()) {
        const auto end = std::min(text.find(separator), text.size());
        if (end > 0)
            result.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return result;
}

template <class T> T number(std::string_view text) {
    T value{};
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

/// A control file of a cgroup folder. Absent: empty.
class Files {
public:
    explicit Files(const std::string& folder) : folder_{folder} {}

    [[nodiscard]] std::string text(const std::string& file) const {
        auto read = read_file(folder_ + "/" + file);
        return read ? std::move(*read) : "";
    }
    /// One number; "max" is the largest.
    [[nodiscard]] std::uint64_t value(const std::string& file) const {
        const std::string read = text(file);
        return read.starts_with("max") ? unlimited : number<std::uint64_t>(read);
    }
    /// Lines of "KEY VALUE".
    [[nodiscard]] Values values(const std::string& file) const {
        Values result;
        const std::string read = text(file);
        for (const auto line : split(read, '\n'))
            if (const auto space = line.find(' '); space != std::string_view::npos)
                result[std::string{line.substr(0, space)}] = number<std::uint64_t>(line.substr(space + 1));
        return result;
    }

private:
    const std::string& folder_;
};

std::uint64_t at(const Values& values, std::string_view key) {
    const auto it = values.find(key);
    return it == values.end() ? 0 : it->second;
}

/// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", and a line "full ..."
Json pressure(const std::string& text) {
    Json result = Json::object();
    for (const auto line : split(text, '\n')) {
        const auto words = split(line, ' ');
        Json& entry = result[std::string{words.front()}];
        for (const auto word : words)
            if (const auto equals = word.find('='); equals != std::string_view::npos) {
                const auto value = word.substr(equals + 1);
                const std::string key{word.substr(0, equals)};
                entry[key] = key == "total" ? Json(number<std::uint64_t>(value)) : Json(number<double>(value));
            }
    }
    return result;
}

Json cpu(const Files& files) {
    const Values stat = files.values("cpu.stat");
    Json result{{"usage",
                 {{"total", at(stat, "usage_usec") * 1000},
                  {"kernel", at(stat, "system_usec") * 1000},
                  {"user", at(stat, "user_usec") * 1000}}},
                {"throttling",
                 {{"periods", at(stat, "nr_periods")},
                  {"throttledPeriods", at(stat, "nr_throttled")},
                  {"throttledTime", at(stat, "throttled_usec") * 1000}}}};
    if (const std::string text = files.text("cpu.pressure"); !text.empty())
        result["psi"] = pressure(text);
    return result;
}

Json cpu_set(const Files& files) {
    const auto list = [&](const char* file) {
        Json numbers = Json::array();
        const std::string text = files.text(file);
        for (const auto range : split(std::string_view{text}.substr(0, text.find('\n')), ',')) {
            const auto ends = split(range, '-');
            for (auto each = number<unsigned>(ends.front()); each <= number<unsigned>(ends.back()); ++each)
                numbers.push_back(each);
        }
        return numbers;
    };
    return {{"cpus", list("cpuset.cpus.effective")}, {"mems", list("cpuset.mems.effective")}};
}

Json memory(const Files& files) {
    const Values stat = files.values("memory.stat");
    const std::uint64_t usage = files.value("memory.current");
    const std::uint64_t limit = files.value("memory.max");
    const std::uint64_t swap_limit = files.value("memory.swap.max");
    const std::uint64_t both = limit == unlimited || swap_limit == unlimited ? unlimited : limit + swap_limit;
    Json result{{"cache", at(stat, "file")},
                {"usage",
                 {{"limit", limit},
                  {"usage", usage},
                  {"max", files.value("memory.peak")},
                  {"failcnt", at(files.values("memory.events"), "max")}}},
                // As on cgroup v1: memory and swap together.
                {"swap", {{"limit", both}, {"usage", usage + files.value("memory.swap.current")}, {"failcnt", 0}}},
                {"kernel", {{"limit", 0}, {"usage", at(stat, "kernel")}, {"failcnt", 0}}},
                {"kernelTCP", {{"limit", 0}, {"usage", at(stat, "sock")}, {"failcnt", 0}}},
                {"raw", stat}};
    if (const std::string text = files.text("memory.pressure"); !text.empty())
        result["psi"] = pressure(text);
    return result;
}

Json block_io(const Files& files) {
    Json bytes = Json::array();
    Json operations = Json::array();
    const std::string text = files.text("io.stat");
    for (const auto line : split(text, '\n')) {
        const auto words = split(line, ' ');
        const auto device = split(words.front(), ':');
        if (device.size() != 2)
            continue;
        for (const auto word : words) {
            const auto equals = std::min(word.find('='), word.size());
            const auto key = word.substr(0, equals);
            if (key != "rbytes" && key != "wbytes" && key != "rios" && key != "wios")
                continue;
            (key.ends_with("bytes") ? bytes : operations)
                .push_back({{"major", number<std::uint64_t>(device[0])},
                            {"minor", number<std::uint64_t>(device[1])},
                            {"op", key.front() == 'r' ? "Read" : "Write"},
                            {"value", number<std::uint64_t>(word.substr(std::min(equals + 1, word.size())))}});
        }
    }
    Json result{{"ioServiceBytesRecursive", bytes}, {"ioServicedRecursive", operations}};
    if (const std::string psi = files.text("io.pressure"); !psi.empty())
        result["psi"] = pressure(psi);
    return result;
}

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

/// By the files that are there: "hugetlb.2MB.current".
Json huge_pages(const Files& files, const std::string& folder) {
    constexpr std::string_view prefix = "hugetlb.";
    constexpr std::string_view suffix = ".current";
    Json result = Json::object();
    const std::unique_ptr<DIR, CloseDir> dir{::opendir(folder.c_str())};
    while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
        const std::string_view name = entry->d_name;
        if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.ends_with(".rsvd.current"))
            continue;
        const std::string size{name.substr(prefix.size(), name.size() - prefix.size() - suffix.size())};
        result[size] = {{"usage", files.value("hugetlb." + size + ".current")},
                        {"failcnt", at(files.values("hugetlb." + size + ".events"), "max")}};
    }
    return result;
}

} // namespace

Json read_stats(const std::string& cgroup) {
    const Files files{cgroup};
    const std::uint64_t pids_limit = files.value("pids.max");
    std::uint64_t pids = files.value("pids.current");
    if (pids == 0) { // without the controller they can be counted
        const std::string text = files.text("cgroup.procs");
        pids = static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
    }
    return {{"cpu", cpu(files)},
            {"cpuset", cpu_set(files)},
            {"memory", memory(files)},
            {"pids", {{"current", pids}, {"limit", pids_limit == unlimited ? 0 : pids_limit}}},
            {"blkio", block_io(files)},
            {"hugetlb", huge_pages(files, cgroup)},
            {"intel_rdt", Json::object()},
            {"network_interfaces", nullptr}};
}

std::uint64_t oom_kills(const std::string& cgroup) { return at(Files{cgroup}.values("memory.events"), "oom_kill"); }

} // namespace ctrd::ctr_oci
