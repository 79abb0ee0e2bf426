#include "ctrd/image/owners.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace ctrd::image {
namespace {

constexpr std::uint32_t nobody = 65534;

std::uint32_t inside(const std::vector<oci::IdMapping>& mappings, std::uint32_t host) {
    if (mappings.empty())
        return host;
    for (const auto& one : mappings)
        if (host >= one.host_id && host - one.host_id < one.size)
            return one.container_id + (host - one.host_id);
    return nobody;
}

/// In the byte order of the attribute, which is the host's on all that we run on.
template <class T> T read(const std::string& data, std::size_t at) {
    T value{};
    std::memcpy(&value, data.data() + at, sizeof value);
    return value;
}
void write(std::string& data, std::size_t at, std::uint32_t value) {
    std::memcpy(data.data() + at, &value, sizeof value);
}

/// struct posix_acl_xattr_header and its entries: version; tag, permissions, id.
void translate_acl(std::string& value, const Owners& owners) {
    constexpr std::size_t header = 4;
    constexpr std::size_t entry = 8;
    constexpr std::uint16_t named_user = 0x02;
    constexpr std::uint16_t named_group = 0x08;
    for (std::size_t at = header; at + entry <= value.size(); at += entry) {
        const auto tag = read<std::uint16_t>(value, at);
        const auto id = read<std::uint32_t>(value, at + 4);
        if (tag == named_user)
            write(value, at + 4, owners.uid(id));
        else if (tag == named_group)
            write(value, at + 4, owners.gid(id));
    }
}

/// struct vfs_ns_cap_data: of version 3, with the root that they are meant for. As an image has them, that is root.
void translate_capability(std::string& value, const Owners& owners) {
    constexpr std::size_t size_v2 = 20;
    constexpr std::size_t size_v3 = 24;
    constexpr std::uint32_t revision_mask = 0xff000000;
    constexpr std::uint32_t revision_2 = 0x02000000;
    if (value.size() != size_v3 || owners.uid(read<std::uint32_t>(value, size_v2)) != 0)
        return;
    write(value, 0, (read<std::uint32_t>(value, 0) & ~revision_mask) | revision_2);
    value.resize(size_v2);
}

} // namespace

std::uint32_t Owners::uid(std::uint32_t host) const { return inside(uids, host); }

std::uint32_t Owners::gid(std::uint32_t host) const { return inside(gids, host); }

void Owners::translate(std::vector<std::pair<std::string, std::string>>& xattrs) const {
    if (uids.empty() && gids.empty())
        return;
    for (auto& [name, value] : xattrs) {
        if (name.starts_with("system.posix_acl_"))
            translate_acl(value, *this);
        else if (name == "security.capability")
            translate_capability(value, *this);
    }
}

Result<std::vector<oci::IdMapping>> parse_id_map(std::string_view text) {
    std::vector<oci::IdMapping> mappings;
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        std::uint32_t numbers[3]{};
        const char* at = line.data();
        const char* const end = line.data() + line.size();
        for (std::uint32_t& number : numbers) {
            at = std::find_if(at, end, [](char c) { return c != ' '; });
            const auto parsed = std::from_chars(at, end, number);
            if (parsed.ec != std::errc{})
                return fail(bad_input("'" + printable(line) + "' is no line of an id map"));
            at = parsed.ptr;
        }
        mappings.push_back({numbers[0], numbers[1], numbers[2]});
    }
    const bool hosts = mappings.size() == 1 && mappings[0] == oci::IdMapping{0, 0, UINT32_MAX};
    return hosts ? std::vector<oci::IdMapping>{} : mappings;
}

} // namespace ctrd::image
