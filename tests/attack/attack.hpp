// The parts of the attacker. Each prints what it got hold of, a line each; a line with LOOT in it is an escape.
#pragma once

#include <ctime>

namespace attack {

/// Exchanges the two names as fast as it can, until it is ended: one is a folder, the other a link to where the
/// attacker wants what is made or mounted there. Prints "swapping" when it is at it.
int swap(const char* one, const char* other);

/// The descriptors above 2 that we were given, and for each folder among them whether `marker` is to be found above it.
int held(const char* marker);

/// Looks into every other process that it sees, for that many seconds: its descriptors, root and working folder, each
/// of which would lead to the host's `marker` if it came from there. Prints "looking", then "looked at N".
int look(const char* marker, std::time_t seconds);

/// Holds the program of every other process, if it is not our own, and tries to write to it once nobody executes it
/// any more (CVE-2019-5736), for that many seconds. Prints "looking", then "held N".
int grab(std::time_t seconds);

/// The number of our session keyring.
int keyring();

/// A socket of the kernel's ciphers (AF_ALG, CVE-2026-31431) by each way in that this machine has: "socket", "i386
/// socket", "i386 socketcall", "x32 socket". A line each with the error, or LOOT, or the signal that
/// ended who tried.
int alg();

/// Gives `folder` to another project than the one whose blocks are counted, and has what is made in it belong to none, by
/// each way in: a line each with the error, or LOOT.
int project(const char* folder);

} // namespace attack
