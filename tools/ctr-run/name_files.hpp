// /etc/hosts and /etc/resolv.conf over an image's own, which can know neither the container's name nor where the host
// asks for names. A program that looks its own host name up (Erlang's, Java's, a mail or FTP server) fails without.
#pragma once

#include "ctrd/plan/plan.hpp"
#include "tools/ctr-run/declared.hpp"

namespace ctrd::run {

/// In a network of its own: a file with localhost and the container's name, written into the folder of its config. In
/// the host's: the host's files, as they are at the start. Not over what is mounted there anyway.
Result<std::vector<plan::Offer>> name_offers(const Declared& declared);

} // namespace ctrd::run
