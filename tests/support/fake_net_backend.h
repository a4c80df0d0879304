// SPDX-License-Identifier: Apache-2.0
// The outside of a network card, for tests: it keeps what was sent, and gives what it was given.
#pragma once

#include <algorithm>
#include <deque>
#include <mutex>
#include <vector>

#include "devices/net/net_backend.h"
#include "support/guest_ram.h"

namespace fmvm::test {

// The wire outlives the devices that are plugged into it. Any thread.
class FakeWire {
  public:
    // A packet from outside, header included. The backend that is plugged in has to be told.
    void give(Bytes packet) {
        const std::lock_guard lock(mutex_);
        incoming_.push_back(std::move(packet));
    }
    std::vector<Bytes> sent() const {
        const std::lock_guard lock(mutex_);
        return sent_;
    }
    std::size_t incoming() const {
        const std::lock_guard lock(mutex_);
        return incoming_.size();
    }

    std::size_t room = SIZE_MAX;  // how many packets the backend holds at most
    bool holds = false;           // packets do not leave by themselves
    bool link = true;
    std::uint64_t offloads = host_offload_features | guest_offload_features;
    std::uint64_t accepted = 0;     // what the device said last
    std::size_t received_from = 0;  // how often it was asked for a packet
    bool plugged = true;
    bool has_room_to_say = true;
    std::vector<Bytes> said;  // by the host

  private:
    friend class FakeNetBackend;
    mutable std::mutex mutex_;
    std::deque<Bytes> incoming_;
    std::vector<Bytes> sent_;
};

class FakeNetBackend : public NetBackend {
  public:
    explicit FakeNetBackend(FakeWire& wire) : wire_(wire) {}

    std::uint64_t offloads() const override { return wire_.offloads; }
    bool link_up() const override { return wire_.link; }
    void on_change(std::function<void()> handler) override { change_ = std::move(handler); }
    bool has_room() const override { return held_.size() < wire_.room; }
    void send(NetPacket packet) override {
        FMVM_CHECK(has_room());
        held_.emplace_back(packet.begin(), packet.end());
        if (!wire_.holds) let_go(held_.size());
    }
    void require_permit(std::function<bool()> permit) override { permit_ = std::move(permit); }
    void ask_again() override {
        if (!wire_.holds) let_go(held_.size());
        tell();
    }
    std::size_t take_left() override { return std::exchange(left_, 0); }
    void withdraw() override {
        held_.clear();
        left_ = 0;
    }
    std::size_t receive(std::span<std::uint8_t> packet) override {
        const std::lock_guard lock(wire_.mutex_);
        ++wire_.received_from;
        if (wire_.incoming_.empty()) return 0;
        const Bytes bytes = std::move(wire_.incoming_.front());
        wire_.incoming_.pop_front();
        std::ranges::copy(bytes, packet.begin());
        return bytes.size();
    }
    void accept_offloads(std::uint64_t offloads) override { wire_.accepted = offloads; }
    void plug(bool in) override { wire_.plugged = in; }
    bool say(std::span<const std::uint8_t> bytes) override {
        const std::lock_guard lock(wire_.mutex_);
        if (wire_.has_room_to_say) wire_.said.emplace_back(bytes.begin(), bytes.end());
        return wire_.has_room_to_say;
    }

    // The oldest `count` packets leave, as far as they may.
    void let_go(std::size_t count) {
        const std::lock_guard lock(wire_.mutex_);
        for (; count != 0 && (!permit_ || permit_()); --count, ++left_) {
            wire_.sent_.push_back(std::move(held_.front()));
            held_.pop_front();
        }
    }
    std::size_t held() const { return held_.size(); }
    void tell() {
        if (change_) change_();
    }

  private:
    FakeWire& wire_;
    std::function<void()> change_;
    std::function<bool()> permit_;
    std::deque<Bytes> held_;
    std::size_t left_ = 0;
};

// A frame of `size` bytes that can be told from others.
inline Bytes frame(std::size_t size, std::uint8_t fill) {
    return Bytes(size, fill);
}

inline Bytes packet_of(const NetHeader& header, const Bytes& bytes) {
    const NetHeaderBytes head = encode_net_header(header);
    Bytes packet(head.begin(), head.end());
    packet.insert(packet.end(), bytes.begin(), bytes.end());
    return packet;
}

}  // namespace fmvm::test
