// SPDX-License-Identifier: Apache-2.0
#include "devices/net/tap_device.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "devices/net/net_header.h"

namespace fmvm {

namespace {

ifreq request_for(const std::string& name) {
    ifreq request{};
    name.copy(request.ifr_name, sizeof request.ifr_name - 1);
    return request;
}

Error refused(const TapRequest& tap, bool is_there, int error) {
    switch (error) {
        case EPERM:
            if (is_there) {
                return make_error(
                    "tap={}: belongs to another user; make it for this one (ip tuntap add {} mode "
                    "tap user NAME)",
                    tap.name, tap.name);
            }
            return make_error(
                "tap={}: there is no such TAP, and only root may make one; make it first (ip "
                "tuntap add {} mode tap user NAME), or take socket=PATH",
                tap.name, tap.name);
        case EBUSY:
            return make_error("tap={}: another process uses it; name another TAP", tap.name);
        case EINVAL:
            return make_error(
                "tap={}: is an interface of another kind, or a TAP of several queues; name another",
                tap.name);
        default:
            return errno_error(error, fmt::format("tap={}", tap.name));
    }
}

Result<void> set_header(int fd, const std::string& what) {
    int size = net_header_size;
    if (::ioctl(fd, TUNSETVNETHDRSZ, &size) == 0 && ::ioctl(fd, TUNSETOFFLOAD, 0) == 0) return {};
    return errno_error(errno, fmt::format("{}: this kernel's TAPs lack virtio headers", what));
}

// A frame of the host's own would be seen on the guest's port, perhaps before the guest is here.
void silence_ipv6(const std::string& name) {
    const std::string path = fmt::format("/proc/sys/net/ipv6/conf/{}/disable_ipv6", name);
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (file && ::write(file.get(), "1", 1) != 1)
        log::notice("net", "{}: the host's IPv6 is not silent on it", name);
}

Result<void> add_to_bridge(int control, const TapRequest& tap) {
    ifreq request = request_for(tap.bridge);
    request.ifr_ifindex = static_cast<int>(::if_nametoindex(tap.name.c_str()));
    if (::ioctl(control, SIOCBRADDIF, &request) == 0) return {};
    const int error = errno;
    if (::if_nametoindex(tap.bridge.c_str()) == 0) {
        return make_error(
            "bridge={}: there is no such bridge; make it first (ip link add {} type "
            "bridge)",
            tap.bridge, tap.bridge);
    }
    return errno_error(error,
                       fmt::format("bridge={}: {} cannot be added to it", tap.bridge, tap.name));
}

bool is_up(int control, const std::string& name) {
    ifreq request = request_for(name);
    return ::ioctl(control, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;
}

bool set_up(int control, const std::string& name) {
    ifreq request = request_for(name);
    if (::ioctl(control, SIOCGIFFLAGS, &request) != 0) return false;
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    return ::ioctl(control, SIOCSIFFLAGS, &request) == 0;
}

bool has_mtu(int control, const TapRequest& tap) {
    ifreq request = request_for(tap.name);
    return ::ioctl(control, SIOCGIFMTU, &request) == 0 && request.ifr_mtu == tap.mtu;
}

bool set_mtu(int control, const TapRequest& tap) {
    ifreq request = request_for(tap.name);
    request.ifr_mtu = tap.mtu;
    return ::ioctl(control, SIOCSIFMTU, &request) == 0;
}

Result<void> configure_new(int control, const TapRequest& tap) {
    silence_ipv6(tap.name);
    if (!set_mtu(control, tap))
        return errno_error(errno, fmt::format("tap={}: mtu={}", tap.name, tap.mtu));
    if (!tap.bridge.empty()) FMVM_TRY(add_to_bridge(control, tap));
    if (!set_up(control, tap.name))
        return errno_error(errno, fmt::format("tap={}: cannot be set up", tap.name));
    return {};
}

// Its owner decides what it is like; what keeps a guest from being heard is told.
void look_at_existing(int control, const TapRequest& tap) {
    if (!is_up(control, tap.name) && !set_up(control, tap.name)) {
        log::warning("net", "{} is down, and nothing passes; set it up (ip link set {} up)",
                     tap.name, tap.name);
    }
    if (!has_mtu(control, tap) && !set_mtu(control, tap)) {
        log::warning("net",
                     "{} has another MTU than the guest is told ({}); give both the same (ip link "
                     "set {} mtu {}, or mtu= of --net)",
                     tap.name, tap.mtu, tap.name, tap.mtu);
    }
}

}  // namespace

bool is_interface_name(std::string_view name) {
    return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
           std::ranges::all_of(name, [](char c) {
               return c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '%';
           });
}

Result<UniqueFd> open_tap(const TapRequest& tap) {
    UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (!fd) {
        return make_error(
            "tap={}: /dev/net/tun: {}; load the module (modprobe tun) and give this user access, "
            "or take socket=PATH",
            tap.name, std::strerror(errno));
    }
    const bool is_there = ::if_nametoindex(tap.name.c_str()) != 0;
    if (is_there && !tap.bridge.empty()) {
        return make_error(
            "bridge={}: is for a TAP that fmvm makes, and {} is there already; add it yourself (ip "
            "link set {} master {}) and leave bridge= out",
            tap.bridge, tap.name, tap.name, tap.bridge);
    }
    ifreq request = request_for(tap.name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) return refused(tap, is_there, errno);
    FMVM_TRY(set_header(fd.get(), fmt::format("tap={}", tap.name)));
    const UniqueFd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!control) return errno_error(errno, fmt::format("tap={}", tap.name));
    if (is_there) {
        look_at_existing(control.get(), tap);
    } else {
        FMVM_TRY(configure_new(control.get(), tap));
    }
    return fd;
}

bool is_tap(int fd) {
    ifreq request{};
    return ::ioctl(fd, TUNGETIFF, &request) == 0;
}

Result<UniqueFd> adopt_tap(int fd) {
    ifreq request{};
    if (::ioctl(fd, TUNGETIFF, &request) != 0)
        return errno_error(errno, fmt::format("fd={}: is not a TAP", fd));
    constexpr int needed = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if ((request.ifr_flags & needed) != needed) {
        return make_error(
            "fd={}: is a TUN, or lacks virtio headers; open it with IFF_TAP, IFF_NO_PI and "
            "IFF_VNET_HDR",
            fd);
    }
    FMVM_TRY(set_header(fd, fmt::format("fd={}", fd)));
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy || ::fcntl(copy.get(), F_SETFL, O_NONBLOCK) != 0)
        return errno_error(errno, fmt::format("fd={}", fd));
    return copy;
}

}  // namespace fmvm
