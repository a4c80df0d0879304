// SPDX-License-Identifier: Apache-2.0
#include "devices/net/tap_backend.h"

#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>

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
    send_unsent();
    if (change_) change_();
}

void TapBackend::send(NetPacket packet) {
    FMVM_CHECK(!unsent_);
    unsent_ = std::move(packet);
    unsent_is_own_ = false;
    send_unsent();
}

// A packet that the kernel refuses is lost.
void TapBackend::send_unsent() {
    if (!unsent_ || !watch_.may_write() || (permit_ && !permit_())) return;
    if (::write(watch_.fd(), unsent_->data(), unsent_->size()) < 0) {
        const int error = errno;
        if (error == EAGAIN) return watch_.wait_to_write();
        failed(error, "a packet of the guest's was not taken");
    }
    unsent_.reset();
    if (!unsent_is_own_) ++left_;
}

void TapBackend::withdraw() {
    if (!unsent_is_own_) unsent_.reset();
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

// What was queued before is not for the guest that comes now.
void TapBackend::plug(bool in) {
    int carrier = in ? 1 : 0;
    if (::ioctl(watch_.fd(), TUNSETCARRIER, &carrier) != 0)
        failed(errno, "its carrier cannot be switched");
    if (!in) return;
    std::array<std::uint8_t, 2048> stale;
    while (::read(watch_.fd(), stale.data(), stale.size()) > 0) {
    }
}

bool TapBackend::say(std::span<const std::uint8_t> frame) {
    if (unsent_) return false;
    unsent_.emplace(net_header_size, std::uint8_t{0});
    unsent_->insert(unsent_->end(), frame.begin(), frame.end());
    unsent_is_own_ = true;
    send_unsent();
    return true;
}

}  // namespace fmvm
