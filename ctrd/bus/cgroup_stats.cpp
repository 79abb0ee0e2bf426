#include "ctrd/bus/cgroup_stats.hpp"

#include "ctrd/base/fd.hpp"
#include "ctrd/base/file.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

namespace ctrd::bus {
namespace {

constexpr std::size_t most_folders = 512;
constexpr std::size_t most_processes = 65'536;

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const auto end = std::min(text.find(separator), text.size());
        if (end > 0)
            parts.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

template <class T> T number(std::string_view text) {
    T value{};
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

void append(std::vector<Stat>& all, std::vector<Stat> more) { std::ranges::move(more, std::back_inserter(all)); }

std::string text_of(const std::string& folder, const char* file) {
    auto text = read_file(folder + "/" + file);
    return text ? std::move(*text) : std::string{};
}

void add_number(std::vector<Stat>& all, const std::string& folder, const char* file, const char* name) {
    const std::string text = text_of(folder, file);
    if (!text.empty())
        all.push_back({name, text.starts_with("max") ? UINT64_MAX : number<std::uint64_t>(text)});
}

struct CloseDir {
    void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};

Result<void> add_processes(const std::string& folder, std::vector<pid_t>& found) {
    // A threaded cgroup's file can't be read (EOPNOTSUPP): its processes are listed by the one above it.
    const auto text = read_file(folder + "/cgroup.procs", 8U << 20);
    if (!text)
        return text.error().code == std::errc::operation_not_supported ? Result<void>{} : fail(text.error());
    for (const auto line : split(*text, '\n'))
        found.push_back(number<pid_t>(line));
    if (found.size() > most_processes)
        return fail(Error{std::errc::value_too_large, "it has too many processes to list", ""});
    return {};
}

std::vector<std::string> folders_in(const std::string& folder) {
    std::vector<std::string> found;
    const std::unique_ptr<DIR, CloseDir> dir{::opendir(folder.c_str())};
    while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            found.push_back(folder + "/" + entry->d_name);
    return found;
}

} // namespace

std::vector<Stat> parse_flat(std::string_view text,
                             const std::vector<std::pair<std::string_view, const char*>>& wanted) {
    std::vector<Stat> found;
    for (const auto line : split(text, '\n')) {
        const auto words = split(line, ' ');
        const auto at = std::ranges::find_if(wanted, [&](const auto& one) { return one.first == words.front(); });
        if (words.size() == 2 && at != wanted.end())
            found.push_back({at->second, number<std::uint64_t>(words[1])});
    }
    return found;
}

std::vector<Stat> parse_pressure(std::string_view text, const std::string& resource) {
    std::vector<Stat> found;
    for (const auto line : split(text, '\n')) {
        const auto words = split(line, ' ');
        if (words.front() != "some" && words.front() != "full")
            continue;
        const std::string prefix = resource + "Pressure" + (words.front() == "some" ? "Some" : "Full");
        for (const auto word : words) {
            if (word.starts_with("avg10="))
                found.push_back({prefix + "10s", 0, number<double>(word.substr(6)), true});
            else if (word.starts_with("avg60="))
                found.push_back({prefix + "60s", 0, number<double>(word.substr(6)), true});
            else if (word.starts_with("total="))
                found.push_back({prefix + "USec", number<std::uint64_t>(word.substr(6))});
        }
    }
    return found;
}

std::vector<Stat> parse_io(std::string_view text) {
    std::vector<Stat> sums{{"IOReadBytes"}, {"IOWriteBytes"}, {"IOReadOperations"}, {"IOWriteOperations"}};
    constexpr std::string_view keys[] = {"rbytes=", "wbytes=", "rios=", "wios="};
    for (const auto word : split(text, ' '))
        for (std::size_t i = 0; i < sums.size(); ++i)
            if (word.starts_with(keys[i]))
                sums[i].number += number<std::uint64_t>(word.substr(keys[i].size()));
    return sums;
}

std::vector<Stat> read_cgroup_stats(const std::string& folder) {
    std::vector<Stat> all = parse_flat(text_of(folder, "cpu.stat"), {{"usage_usec", "CPUUsageUSec"},
                                                                     {"user_usec", "CPUUserUSec"},
                                                                     {"system_usec", "CPUSystemUSec"},
                                                                     {"nr_throttled", "CPUThrottledPeriods"},
                                                                     {"throttled_usec", "CPUThrottledUSec"}});
    add_number(all, folder, "memory.current", "MemoryCurrent");
    add_number(all, folder, "memory.peak", "MemoryPeak");
    add_number(all, folder, "memory.max", "MemoryMax");
    add_number(all, folder, "memory.swap.current", "MemorySwapCurrent");
    append(all, parse_flat(text_of(folder, "memory.events"), {{"oom_kill", "OOMKills"}}));
    add_number(all, folder, "pids.current", "TasksCurrent");
    add_number(all, folder, "pids.max", "TasksMax");
    if (const std::string io = text_of(folder, "io.stat"); !io.empty())
        append(all, parse_io(io));
    append(all, parse_pressure(text_of(folder, "cpu.pressure"), "CPU"));
    append(all, parse_pressure(text_of(folder, "memory.pressure"), "Memory"));
    append(all, parse_pressure(text_of(folder, "io.pressure"), "IO"));
    return all;
}

Result<std::vector<pid_t>> read_cgroup_processes(const std::string& folder) {
    std::vector<pid_t> found;
    std::vector<std::string> left{folder};
    for (std::size_t seen = 0; !left.empty(); ++seen) {
        if (seen >= most_folders)
            return fail(Error{std::errc::value_too_large, "it has made too many cgroups to look into", ""});
        const std::string here = std::move(left.back());
        left.pop_back();
        if (auto added = add_processes(here, found); !added) {
            if (seen > 0 && added.error().code == std::errc::no_such_file_or_directory)
                continue; // removed while we looked
            return fail(added.error());
        }
        std::ranges::move(folders_in(here), std::back_inserter(left));
    }
    return found;
}

} // namespace ctrd::bus
