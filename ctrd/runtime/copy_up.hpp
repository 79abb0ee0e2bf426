// tmpcopyup: a new tmpfs starts with what the rootfs has at its place.
#pragma once

namespace ctrd::runtime {

/// Copies what is in folder `from` (a descriptor inside the rootfs) into folder `to`, with owners, modes, times and
/// extended attributes. Names are taken one by one below descriptors and no link is followed, so nothing in `from`
/// leads out. For the child: no allocation. `identity`: `to` itself becomes as `from` is, too. 0 or an errno.
int copy_up(int from, int to, bool identity) noexcept;

} // namespace ctrd::runtime
