// deliver = "auto": a socket is adopted, and proxied where that has turned out not to work. What one start has learnt
// the next one with the same config begins with.
#pragma once

#include "tools/ctr-run/declared.hpp"

namespace ctrd::run {

/// The names of the sockets that are proxied from the beginning. An error where one must be adopted and can't be: the
/// kernel has room for one seccomp listener, and the profile has its own.
Result<std::vector<std::string>> known_fall_backs(const std::string& name, const Declared& declared);

/// After a start: `names` are proxied. What is new of it is said in the journal, and kept.
void keep_fall_backs(const std::string& name, const Declared& declared, std::vector<std::string> names);

} // namespace ctrd::run
