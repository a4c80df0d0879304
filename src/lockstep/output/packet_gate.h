// SPDX-License-Identifier: Apache-2.0
// Holds a guest's packets until the backup has committed the epoch that sent them. A decorator of a
// network card's backend, which asks for the permit right before it writes.
//
// The bytes were copied when the packet was taken, and they are what leaves. Packets leave in
// order. Until one has left, its descriptors are the device's: in the captured state it is still to
// be sent, and a backup that takes over sends it again (net_device.h). What waits is bounded: a
// gate that is full has no room, so that packets stay in the guest's ring. Packets from outside
// pass.
//
// Threads: the loop thread for all of NetBackend; EpochGate says the rest.
#pragma once

#include <deque>
#include <memory>

#include "base/mutex.h"
#include "base/units.h"
#include "devices/net/net_backend.h"
#include "lockstep/output/epoch_gate.h"
#include "vmm/loop/event_loop.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::lockstep {

class PacketGate : public NetBackend, public EpochGate {
  public:
    PacketGate(EventLoop& loop, std::unique_ptr<NetBackend> inner);

    std::uint64_t offloads() const override { return inner_->offloads(); }
    bool link_up() const override { return inner_->link_up(); }
    void on_change(std::function<void()> handler) override;
    bool has_room() const override;
    void send(NetPacket packet) override;
    std::size_t take_left() override { return inner_->take_left(); }
    void withdraw() override;
    std::size_t receive(std::span<std::uint8_t> packet) override { return inner_->receive(packet); }
    void accept_offloads(std::uint64_t offloads) override { inner_->accept_offloads(offloads); }
    void plug(bool in) override { inner_->plug(in); }
    bool say(std::span<const std::uint8_t> frame) override { return inner_->say(frame); }

    void on_waiting(std::function<void()> handler) override {
        waiting_handler_ = std::move(handler);
    }
    std::optional<TimePoint> waiting_since() const override;
    bool holds_disk_requests() const override { return false; }
    void require_permit(std::function<bool()> permit) override {
        inner_->require_permit(std::move(permit));
    }
    void ask_again() override { inner_->ask_again(); }
    void hold() override;
    void close_epoch(EpochId epoch) override;
    void commit(EpochId epoch) override;
    void open() override;

    // Lets go at once what may go. While the loop stands.
    void drain() { release(); }

    static constexpr std::size_t held_bytes_max = 4 * mib;

  private:
    struct Held {
        NetPacket packet;
        EpochId epoch;  // open_epoch: not cut yet
    };
    static constexpr EpochId open_epoch = UINT64_MAX;
    void look();
    void release();

    EventLoop& loop_;
    const std::unique_ptr<NetBackend> inner_;
    std::function<void()> change_;
    std::function<void()> waiting_handler_;
    std::deque<Held> held_;       // loop thread, or while it stands
    std::size_t held_bytes_ = 0;  // the same

    mutable Mutex mutex_;
    bool holding_ FMVM_GUARDED_BY(mutex_) = false;
    EpochId committed_ FMVM_GUARDED_BY(mutex_) = 0;  // of the connection under way
    std::optional<TimePoint> waiting_since_ FMVM_GUARDED_BY(mutex_);
    TaskScope tasks_;  // last: its tasks use the rest
};

}  // namespace fmvm::lockstep
