#include "ctrd/runtime/net_device.hpp"

#include "ctrd/base/fd.hpp"
#include "ctrd/base/file.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>

namespace ctrd::runtime {
namespace {

/// One rtnetlink message that is put together piece by piece.
class Message {
public:
    template <class Body> Message(std::uint16_t type, std::uint16_t flags, const Body& body) {
        nlmsghdr header{};
        header.nlmsg_type = type;
        header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
        append(&header, sizeof header);
        append(&body, sizeof body);
    }
    void attribute(std::uint16_t type, const void* data, std::size_t size) {
        const rtattr header{static_cast<std::uint16_t>(RTA_LENGTH(size)), type};
        append(&header, sizeof header);
        append(data, size);
    }
    std::string_view finish() {
        auto* header = reinterpret_cast<nlmsghdr*>(bytes_.data());
        header->nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
        return bytes_;
    }

private:
    void append(const void* data, std::size_t size) {
        bytes_.append(static_cast<const char*>(data), size);
        bytes_.resize(NLMSG_ALIGN(bytes_.size()), '\0');
    }
    std::string bytes_;
};

/// rtnetlink and interface ioctls of one network namespace: the one in which it was made.
class Network {
public:
    static Result<Network> open() {
        Network result;
        result.route_ = UniqueFd{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
        result.control_ = UniqueFd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
        if (!result.route_ || !result.control_)
            return fail(os_error(errno, "cannot open a netlink socket"));
        return result;
    }

    /// 0 when there is none of this name.
    [[nodiscard]] int index_of(const std::string& name) const {
        ifreq request{};
        std::memcpy(request.ifr_name, name.c_str(), std::min(name.size(), sizeof request.ifr_name - 1));
        return ::ioctl(control_.get(), SIOCGIFINDEX, &request) < 0 ? 0 : request.ifr_ifindex;
    }

    /// Sends, and hands each answer to `each` until the kernel has acknowledged or is done. 0 or an errno.
    int talk(Message message, const std::function<void(const nlmsghdr&)>& each = {}) const {
        const std::string_view bytes = message.finish();
        if (::send(route_.get(), bytes.data(), bytes.size(), 0) < 0)
            return errno;
        alignas(nlmsghdr) char buffer[32768];
        while (true) {
            const ssize_t n = ::recv(route_.get(), buffer, sizeof buffer, 0);
            if (n < 0)
                return errno;
            auto left = static_cast<unsigned>(n);
            for (const auto* header = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(header, left);
                 header = NLMSG_NEXT(header, left)) {
                if (header->nlmsg_type == NLMSG_DONE)
                    return 0;
                if (header->nlmsg_type == NLMSG_ERROR)
                    return -static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
                if (each)
                    each(*header);
            }
        }
    }

    [[nodiscard]] std::vector<int> links() const {
        std::vector<int> result;
        talk(Message{RTM_GETLINK, NLM_F_DUMP, ifinfomsg{}}, [&](const nlmsghdr& header) {
            result.push_back(static_cast<const ifinfomsg*>(NLMSG_DATA(&header))->ifi_index);
        });
        return result;
    }

private:
    UniqueFd route_;
    UniqueFd control_;
};

/// The container's network, seen from here: sockets belong to the namespace in which they were made.
Result<Network> open_network(int network_fd) {
    const UniqueFd own = TRY(open_at(AT_FDCWD, "/proc/self/ns/net", O_RDONLY));
    if (::setns(network_fd, CLONE_NEWNET) < 0)
        return fail(os_error(errno, "cannot enter the container's network namespace"));
    auto network = Network::open();
    if (::setns(own.get(), CLONE_NEWNET) < 0)
        return fail(os_error(errno, "cannot return from the container's network namespace"));
    return network;
}

struct Address {
    ifaddrmsg head{};
    std::vector<std::pair<std::uint16_t, std::string>> attributes{};
};

/// Those that stay (IFA_F_PERMANENT) and count everywhere (RT_SCOPE_UNIVERSE).
std::vector<Address> lasting_addresses(const Network& host, int index) {
    std::vector<Address> result;
    host.talk(Message{RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{}}, [&](const nlmsghdr& header) {
        const auto* head = static_cast<const ifaddrmsg*>(NLMSG_DATA(&header));
        if (header.nlmsg_type != RTM_NEWADDR || static_cast<int>(head->ifa_index) != index ||
            head->ifa_scope != RT_SCOPE_UNIVERSE || (head->ifa_flags & IFA_F_PERMANENT) == 0)
            return;
        Address address{*head, {}};
        auto left = static_cast<int>(header.nlmsg_len - NLMSG_LENGTH(sizeof *head));
        for (const auto* at = IFA_RTA(head); RTA_OK(at, left); at = RTA_NEXT(at, left))
            if (at->rta_type == IFA_ADDRESS || at->rta_type == IFA_LOCAL || at->rta_type == IFA_BROADCAST ||
                at->rta_type == IFA_RT_PRIORITY)
                address.attributes.emplace_back(at->rta_type,
                                                std::string{static_cast<const char*>(RTA_DATA(at)), RTA_PAYLOAD(at)});
        result.push_back(std::move(address));
    });
    return result;
}

Error device_error(int err, const oci::NetDevice& device, std::string_view doing) {
    return os_error(err, fmt::format("linux.netDevices: cannot {} '{}'", doing, device.host_name),
                    err == EINVAL ? "some devices can't leave their namespace (ethtool -k: netns-local)" : "");
}

int index_after(const Network& inside, const std::vector<int>& before, int index) {
    for (const int link : inside.links())
        if (std::ranges::find(before, link) == before.end())
            return link;
    return index;
}

Result<void> move(const oci::NetDevice& device, const Network& host, const Network& inside, int network_fd) {
    const int index = host.index_of(device.host_name);
    const auto addresses = lasting_addresses(host, index);
    const auto before = inside.links();
    ifinfomsg link{};
    link.ifi_index = index;
    Message moving{RTM_NEWLINK, NLM_F_ACK, link};
    moving.attribute(IFLA_NET_NS_FD, &network_fd, sizeof network_fd);
    moving.attribute(IFLA_IFNAME, device.name.c_str(), device.name.size() + 1);
    if (const int err = host.talk(std::move(moving)); err != 0)
        return fail(device_error(err, device, "move"));
    link.ifi_index = index_after(inside, before, index);
    for (const Address& address : addresses) {
        ifaddrmsg head = address.head;
        head.ifa_index = static_cast<std::uint32_t>(link.ifi_index);
        Message adding{RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, head};
        for (const auto& [type, value] : address.attributes)
            adding.attribute(type, value.data(), value.size());
        if (const int err = inside.talk(std::move(adding)); err != 0)
            return fail(device_error(err, device, "give its addresses back to"));
    }
    link.ifi_flags = link.ifi_change = IFF_UP;
    if (const int err = inside.talk(Message{RTM_NEWLINK, NLM_F_ACK, link}); err != 0)
        return fail(device_error(err, device, "bring up"));
    return {};
}

} // namespace

Result<void> move_net_devices(const std::vector<oci::NetDevice>& devices, pid_t pid) {
    const UniqueFd network = TRY(open_at(AT_FDCWD, fmt::format("/proc/{}/ns/net", pid), O_RDONLY));
    const Network host = TRY(Network::open());
    const Network inside = TRY(open_network(network.get()));
    for (const auto& device : devices) {
        if (host.index_of(device.host_name) == 0)
            return fail(device_error(ENODEV, device, "find the device"));
        if (device.name.find('%') == std::string::npos && inside.index_of(device.name) != 0)
            return fail(bad_input("linux.netDevices: the container has a device '" + device.name + "' already",
                                  "give another name, or one that ends in %d"));
    }
    for (const auto& device : devices)
        TRY_VOID(move(device, host, inside, network.get()));
    return {};
}

} // namespace ctrd::runtime
