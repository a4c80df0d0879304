// SPDX-License-Identifier: Apache-2.0
// Packets of a guest through a Unix stream socket, each behind its length (u32, big-endian): what
// QEMU's `-netdev stream` and passt speak. There is no header, so nothing is left to the other side
// but whole frames.
//
// When the other side goes, the guest's link is down, what it sends is lost, and a socket that has
// a path is tried again every second. What the other side sends is bounded and checked: a length
// that no frame has ends the connection.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "devices/net/net_backend.h"
#include "vmm/loop/readiness_watch.h"

namespace fmvm {

// Connects, without waiting. The error names the path and the remedy.
Result<UniqueFd> connect_stream(const std::string& path);

class StreamBackend : public NetBackend {
  public:
    // socket: connected. path: where to connect again; empty: nowhere. The loop outlives this.
    StreamBackend(EventLoop& loop, UniqueFd socket, std::string path);
    ~StreamBackend() override;

    std::uint64_t offloads() const override { return 0; }
    bool link_up() const override { return watch_ != nullptr; }
    void on_change(std::function<void()> handler) override { change_ = std::move(handler); }
    bool has_room() const override { return unsent_.empty(); }
    void send(NetPacket packet) override;
    void require_permit(std::function<bool()> permit) override { permit_ = std::move(permit); }
    void ask_again() override { ready(); }
    std::size_t take_left() override { return std::exchange(left_, 0); }
    void withdraw() override;
    std::size_t receive(std::span<std::uint8_t> packet) override;
    void accept_offloads(std::uint64_t) override {}
    void plug(bool in) override;
    bool say(std::span<const std::uint8_t> frame) override;

  private:
    enum class Whose { guest, host, nobody };  // nobody's: the device has forgotten it
    void begin_to_send(NetPacket packet, Whose whose);
    void unsent_is_gone();
    void use(UniqueFd socket);
    void ready();
    void send_rest();
    void drop_incoming();
    bool read_more();
    void lose(const std::string& why);
    void try_again_later();
    void try_again();

    EventLoop& loop_;
    const std::string path_;
    std::function<void()> change_;
    std::function<bool()> permit_;
    std::unique_ptr<ReadinessWatch> watch_;  // null: nobody is there
    Buffer unsent_;                          // a packet that was not sent, or in part
    std::size_t unsent_begin_ = 0;
    Whose unsent_is_whose_ = Whose::nobody;
    std::size_t left_ = 0;
    Buffer incoming_;
    std::size_t incoming_begin_ = 0;
    std::size_t incoming_end_ = 0;
    struct Timer;  // keeps Asio's header out of this one
    const std::unique_ptr<Timer> timer_;
    TaskScope tasks_;  // last: its tasks use the rest
};

}  // namespace fmvm
