// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/packet_gate.h"

#include <utility>

#include "base/check.h"
#include "base/crash_point.h"

namespace fmvm::lockstep {

PacketGate::PacketGate(EventLoop& loop, std::unique_ptr<NetBackend> inner)
    : loop_(loop), inner_(std::move(inner)) {}

void PacketGate::on_change(std::function<void()> handler) {
    change_ = std::move(handler);
    inner_->on_change([this] { look(); });
}

// Something may go on: here, or for the device.
void PacketGate::look() {
    release();
    if (change_) change_();
}

bool PacketGate::has_room() const {
    const Lock lock(mutex_);
    return holding_ ? held_bytes_ < held_bytes_max : held_.empty() && inner_->has_room();
}

void PacketGate::send(NetPacket packet) {
    bool holding = false;
    bool begins_to_wait = false;
    {
        const Lock lock(mutex_);
        holding = holding_;
        begins_to_wait = holding && !waiting_since_;
        if (begins_to_wait) waiting_since_ = std::chrono::steady_clock::now();
    }
    held_bytes_ += packet.size();
    held_.push_back({std::move(packet), holding ? open_epoch : EpochId{0}});
    if (!holding) release();
    if (begins_to_wait && waiting_handler_) waiting_handler_();
}

// The backend asks for the permit, for each packet: a side that was frozen since the commit may
// have been superseded meanwhile.
void PacketGate::release() {
    bool holding = false;
    EpochId committed = 0;
    {
        const Lock lock(mutex_);
        holding = holding_;
        committed = committed_;
    }
    while (!held_.empty() && inner_->has_room()) {
        Held& oldest = held_.front();
        if (holding && oldest.epoch > committed) return;
        held_bytes_ -= oldest.packet.size();
        inner_->send(std::move(oldest.packet));
        held_.pop_front();
        if (holding) crash_point("packet-out");
    }
}

void PacketGate::withdraw() {
    held_.clear();
    held_bytes_ = 0;
    inner_->withdraw();
    const Lock lock(mutex_);
    waiting_since_.reset();
}

std::optional<PacketGate::TimePoint> PacketGate::waiting_since() const {
    const Lock lock(mutex_);
    return waiting_since_;
}

// What is left from before waits for no commit: nobody can contradict it.
void PacketGate::hold() {
    const Lock lock(mutex_);
    if (std::exchange(holding_, true)) return;
    for (Held& held : held_)
        held.epoch = 0;
}

void PacketGate::close_epoch(EpochId epoch) {
    for (auto held = held_.rbegin(); held != held_.rend() && held->epoch == open_epoch; ++held)
        held->epoch = epoch;
    const Lock lock(mutex_);
    waiting_since_.reset();
}

void PacketGate::commit(EpochId epoch) {
    {
        const Lock lock(mutex_);
        committed_ = epoch;
    }
    loop_.post(tasks_.bind([this] { look(); }));
}

void PacketGate::open() {
    {
        const Lock lock(mutex_);
        holding_ = false;
        committed_ = 0;  // the next connection counts its epochs anew
        waiting_since_.reset();
    }
    loop_.post(tasks_.bind([this] { look(); }));
}

}  // namespace fmvm::lockstep
