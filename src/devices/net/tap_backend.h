// SPDX-License-Identifier: Apache-2.0
// Packets of a guest through a TAP, header and all (IFF_VNET_HDR): checksums and segments are left
// to the host's kernel, or to the guest, so that 64 KiB of TCP are one packet.
// Source: Documentation/networking/tuntap.rst, <linux/if_tun.h>.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "devices/net/net_backend.h"
#include "vmm/loop/readiness_watch.h"

namespace fmvm {

class TapBackend : public NetBackend {
  public:
    // tap: non-blocking, with headers of net_header_size bytes (tap_device.h). name: for the log.
    TapBackend(EventLoop& loop, UniqueFd tap, std::string name);

    std::uint64_t offloads() const override;
    bool link_up() const override { return !is_gone_; }
    void on_change(std::function<void()> handler) override { change_ = std::move(handler); }
    bool has_room() const override { return !unsent_; }
    void send(NetPacket packet) override;
    void require_permit(std::function<bool()> permit) override { permit_ = std::move(permit); }
    void ask_again() override { ready(); }
    std::size_t take_left() override { return std::exchange(left_, 0); }
    void withdraw() override;
    std::size_t receive(std::span<std::uint8_t> packet) override;
    void accept_offloads(std::uint64_t offloads) override;
    void plug(bool in) override;
    bool say(std::span<const std::uint8_t> frame) override;

  private:
    void ready();
    void send_unsent();
    void failed(int error, const char* doing);

    const std::string name_;
    std::function<void()> change_;
    std::function<bool()> permit_;
    ReadinessWatch watch_;
    std::optional<NetPacket> unsent_;  // there was no permit, or no room in the kernel
    bool unsent_is_own_ = false;       // it is not the guest's
    std::size_t left_ = 0;
    bool is_gone_ = false;  // the interface was deleted
    int reports_ = 0;
};

}  // namespace fmvm
