// link-journal: the journal of a systemd in the container is kept on the host, beside the host's own, so that
// `journalctl --merge` there shows it:
//
//     /var/lib/ctrd/journal/NAME    the files, mounted in the container at /var/log/journal/MACHINE-ID
//     /var/log/journal/MACHINE-ID   a link to it
//
// The container writes what it likes to that folder, setuid programs too: it is where nobody but root can come to.
// MACHINE-ID is the rootfs' word. The link says whose it is: who names another's id, or the host's, gets nothing.
#pragma once

#include "ctrd/plan/plan.hpp"
#include "tools/ctr-run/declared.hpp"

namespace ctrd::run {

/// As far as the declaration asks for it, the mount is in its spec from then on. The machine id that the container is
/// to take where it has none of its own; empty: nothing is linked. `host`: what rootfs_facts() has said. With
/// `try_host` what can't be done is a warning.
Result<std::string> link_journal(Declared& declared, const plan::HostFacts& host);

/// What a machine-id(5) file holds, in lower case; empty where that is no id (yet).
std::string parse_machine_id(std::string_view text);

} // namespace ctrd::run
