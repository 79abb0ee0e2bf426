// Attributes' names: the beginning is a number on the disk.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ctrd::erofs {

struct XattrName {
    std::uint8_t prefix{0}; // 0: one that EROFS does not know
    std::string_view rest{};
};

struct XattrPrefix {
    std::uint8_t number;
    std::string_view text;
    bool whole; // nothing comes behind it
};
inline constexpr std::array<XattrPrefix, 5> xattr_prefixes{{{1, "user.", false},
                                                            {2, "system.posix_acl_access", true},
                                                            {3, "system.posix_acl_default", true},
                                                            {4, "trusted.", false},
                                                            {6, "security.", false}}};

inline XattrName split_xattr_name(std::string_view name) noexcept {
    for (const XattrPrefix& one : xattr_prefixes)
        if (one.whole ? name == one.text : name.starts_with(one.text) && name.size() > one.text.size())
            return {one.number, name.substr(one.text.size())};
    return {};
}

} // namespace ctrd::erofs
