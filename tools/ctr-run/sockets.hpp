// The unit's listening sockets, each brought together with its declaration.
#pragma once

#include "ctrd/activation/adopt.hpp"
#include "ctrd/activation/listen_fds.hpp"
#include "ctrd/activation/port_names.hpp"
#include "ctrd/activation/record.hpp"
#include "tools/ctr-run/declared.hpp"

namespace ctrd::run {

/// A socket that is proxied, or may come to it.
struct Route {
    std::size_t number{0}; // of the socket
    bool datagram{false};
    bool at_once{false}; // nobody waits for the program to listen there
    int fd{-1};
    std::uint16_t port{0};
    std::string path{}; // in place of a port
};

class Sockets {
public:
    /// Every declared socket must be among `handed`; what else is there, such as a notification descriptor of the run
    /// before, is closed. Of those with deliver = "auto", the ones that `fall_back` names are proxied.
    static Result<Sockets> match(const std::vector<DeclaredSocket>& declared, std::vector<activation::ListenFd> handed,
                                 std::span<const std::string> fall_back = {});

    /// No guard, no hand-over. Then sets right what an earlier payload may have done to them. The id of the cgroup in
    /// which the IP sockets were made; 0 where there are none.
    Result<std::uint64_t> make_safe(const std::string& socket_unit) const;

    /// Until a connection (or a datagram) waits at one of them. An error: the process behind `pidfd` has ended.
    Result<void> await_connection(int pidfd) const;

    [[nodiscard]] bool empty() const { return sockets_.empty(); }
    [[nodiscard]] std::vector<int> all() const;
    [[nodiscard]] std::vector<int> passed() const;
    [[nodiscard]] std::string passed_names() const; // for LISTEN_FDNAMES
    [[nodiscard]] bool any_adopted() const { return !listeners_.empty(); }
    [[nodiscard]] bool any_passed() const { return !passed().empty(); }

    /// As `activation::answer_bind` wants them; its index is one into these.
    [[nodiscard]] std::span<const activation::Listener> listeners() const { return listeners_; }
    Result<UniqueFd> open_listener(std::size_t index) const;
    /// False: READY need not wait for it.
    [[nodiscard]] bool is_awaited(std::size_t index) const { return !sockets_[adopted_[index]].declared.of_range; }
    [[nodiscard]] std::uint64_t inode_of(std::size_t index) const { return sockets_[adopted_[index]].inode; }
    [[nodiscard]] bool is_automatic(std::size_t index) const { return sockets_[adopted_[index]].automatic; }
    [[nodiscard]] std::size_t number_of(std::size_t index) const { return adopted_[index]; }

    /// What the payload is told of adopted sockets whose port on the host is another one. Not of those of a range: by
    /// these a server tells its clients where to connect to.
    [[nodiscard]] std::vector<activation::PortName> port_names() const;

    [[nodiscard]] std::vector<Route> proxied() const;
    [[nodiscard]] bool any_proxied() const { return !proxied().empty(); }
    [[nodiscard]] const std::string& name_of(std::size_t number) const { return sockets_.at(number).declared.name; }
    /// The route of a socket that is adopted so far.
    [[nodiscard]] Route route_of(std::size_t number) const;
    /// From here on it is proxied.
    void fall_back(std::size_t number) { sockets_.at(number).declared.deliver = Deliver::proxy; }
    [[nodiscard]] std::vector<std::string> fallen_back() const;
    [[nodiscard]] bool any_fallen_back() const { return !fallen_back().empty(); }

    void restore_backlogs() const; // at best: a payload that closed its listening harms itself

    [[nodiscard]] std::vector<activation::RecordedSocket> recorded() const;

private:
    struct Socket {
        DeclaredSocket declared;
        UniqueFd fd;
        std::uint64_t inode{0};
        int family{0};
        bool stream{false};
        bool automatic{false}; // as declared; `declared.deliver` is what it has come to
    };
    std::vector<Socket> sockets_;
    std::vector<activation::Listener> listeners_;
    std::vector<std::size_t> adopted_; // listeners_[i] is sockets_[adopted_[i]]
};

} // namespace ctrd::run
