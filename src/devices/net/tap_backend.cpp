// SPDX-License-Identifier: Apache-2.0
#include "devices/net/tap_backend.h"

#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"

namespace fmvm {

namespace {

// Packets can fail as often as the guest likes; the log must not grow with it.
constexpr int reports_max = 8;

}  // namespace

TapBackend::TapBackend(EventLoop& loop, UniqueFd tap, std::string name)
    : name_(std::move(name)), watch_(loop, std::move(tap), [this] { ready(); }) {}

std::uint64_t TapBackend::offloads() const {
    return host_offload_features | guest_offload_features;
}

void TapBackend::ready() {
    if (unsent_ && watch_.may_write() && write(*unsent_)) unsent_.reset();
    if (change_) change_();
}

void TapBackend::send(NetPacket packet) {
    FMVM_CHECK(!unsent_);
    if (!watch_.may_write() || !write(packet)) unsent_ = std::move(packet);
}

// False: not now. A packet that the kernel refuses is lost.
bool TapBackend::write(const NetPacket& packet) {
    if (::write(watch_.fd(), packet.data(), packet.size()) < 0) {
        const int error = errno;
        if (error == EAGAIN) {
            watch_.wait_to_write();
            return false;
        }
        failed(error, "a packet of the guest's was not taken");
    }
    ++left_;
    return true;
}

void TapBackend::withdraw() {
    unsent_.reset();
    left_ = 0;
}

std::size_t TapBackend::receive(std::span<std::uint8_t> packet) {
    if (is_gone_ || !watch_.may_read()) return 0;
    const ssize_t size = ::read(watch_.fd(), packet.data(), packet.size());
    if (size >= static_cast<ssize_t>(net_header_size + ethernet_header_size))
        return static_cast<std::size_t>(size);
    if (size < 0 && errno != EAGAIN) failed(errno, "nothing can be received");
    if (!is_gone_) watch_.wait_to_read();
    return 0;
}

// EBADFD: the interface is gone. EIO: it is down, and may come up again.
void TapBackend::failed(int error, const char* doing) {
    if (error == EBADFD) is_gone_ = true;
    if (reports_++ >= reports_max) return;
    log::warning("net", "{}: {}: {}", name_, doing,
                 error == EBADFD ? "the interface was deleted"
                 : error == EIO  ? "the interface is down; set it up (ip link set ... up)"
                                 : std::strerror(error));
}

void TapBackend::accept_offloads(std::uint64_t offloads) {
    unsigned flags = 0;
    if ((offloads & net_f_guest_csum) != 0) flags |= TUN_F_CSUM;
    if ((offloads & net_f_guest_tso4) != 0) flags |= TUN_F_TSO4;
    if ((offloads & net_f_guest_tso6) != 0) flags |= TUN_F_TSO6;
    if ((offloads & net_f_guest_ecn) != 0) flags |= TUN_F_TSO_ECN;
    if (::ioctl(watch_.fd(), TUNSETOFFLOAD, flags) != 0)
        failed(errno, "the guest's offloads cannot be set");
}

}  // namespace fmvm
