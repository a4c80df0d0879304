// SPDX-License-Identifier: Apache-2.0
// The packets of a NetDevice (virtio 1.2, 5.1.6.2 to 5.1.6.4).
#include <algorithm>

#include "devices/net/net_device.h"

namespace fmvm {

bool NetDevice::send() {
    DeviceQueue* const queue = queues_[send_queue].get();
    if (queue == nullptr) return false;
    bool worked = return_sent();
    for (unsigned i = 0; i < queue_size_max && backend_->has_room(); ++i) {
        std::optional<DescriptorChain> chain = queue->pop();
        if (!chain) break;
        NetPacket packet;
        const bool is_good = take_packet(*chain, packet);
        sent_.push_back({std::move(*chain), !is_good});
        if (is_good) {
            backend_->send(std::move(packet));
        } else {
            ++counters_.bad_sent;
        }
        worked = true;
    }
    return return_sent() || worked;
}

// In order: a chain behind one that waits waits, too.
bool NetDevice::return_sent() {
    bool returned = false;
    std::size_t left = backend_->take_left();
    while (!sent_.empty() && (sent_.front().is_bad || left != 0)) {
        if (!sent_.front().is_bad) --left;
        queues_[send_queue]->push(std::move(sent_.front().chain), 0);
        sent_.pop_front();
        returned = true;
    }
    return returned;
}

bool NetDevice::take_packet(const DescriptorChain& chain, NetPacket& packet) {
    const std::uint64_t size = total_length(chain.readable);
    if (size < net_header_size || size > net_packet_size_max) return false;
    packet.resize(size);
    ChainReader reader(memory_, chain.readable);
    if (!reader.read(packet)) return false;
    const std::span<std::uint8_t> bytes(packet);
    NetHeader header = decode_net_header(bytes.first<net_header_size>());
    const std::size_t frame_size_max = mtu_ + ethernet_header_size + vlan_tag_size;
    if (!check_sent_header(header, bytes.subspan(net_header_size), features_, frame_size_max))
        return false;
    std::ranges::copy(encode_net_header(header), packet.begin());
    return true;
}

bool NetDevice::receive() {
    needs_buffers_ = false;
    if (!queues_[receive_queue]) return false;
    bool worked = false;
    for (unsigned i = 0; i < queue_size_max; ++i) {
        if (packet_size_ == 0) {
            if (!fetch()) break;
            worked = true;
            if (packet_size_ == 0) continue;
        }
        if (collect_room()) {
            deliver();
            worked = true;
        } else if (packet_size_ != 0) {
            break;
        }
    }
    return worked;
}

// Takes the next packet from outside, but does not look there while the guest has no room. False:
// there is none. One that the guest would not understand is dropped.
bool NetDevice::fetch() {
    if (room_.empty() && !queues_[receive_queue]->has_available()) {
        needs_buffers_ = true;
        return false;
    }
    const std::span<std::uint8_t> packet(packet_.get(), net_packet_size_max);
    packet_size_ = next_packet(packet);
    if (packet_size_ == 0) return false;
    const NetHeader header = decode_net_header(packet.first<net_header_size>());
    if (!is_acceptable(header, offloads_)) drop_packet(counters_.not_accepted);
    return true;
}

std::size_t NetDevice::next_packet(std::span<std::uint8_t> packet) {
    if (kept_.empty()) {
        const std::size_t size = backend_->receive(packet);
        if (size != 0 && observer_) observer_(position_, packet.first(size));
        return size;
    }
    const NetPacket kept = std::move(kept_.front());
    kept_.pop_front();
    std::ranges::copy(kept, packet.begin());
    return kept.size();
}

void NetDevice::give(std::span<const std::uint8_t> packet) {
    FMVM_CHECK(packet.size() <= net_packet_size_max);
    kept_.emplace_back(packet.begin(), packet.end());
}

void NetDevice::take_in() {
    constexpr std::size_t kept_max = 256;
    Buffer packet(net_packet_size_max);
    while (kept_.size() < kept_max) {
        const std::size_t size = backend_->receive(packet);
        if (size == 0) return;
        const std::span<const std::uint8_t> bytes(packet.data(), size);
        if (observer_) observer_(position_ + (packet_size_ != 0 ? 1 : 0) + kept_.size(), bytes);
        give(bytes);
    }
}

void NetDevice::drop_packet(std::uint64_t& counter) {
    ++counter;
    ++position_;
    packet_size_ = 0;
}

// Takes as many chains as the packet needs. False: it has to wait for more, or it was dropped.
bool NetDevice::collect_room() {
    DeviceQueue& queue = *queues_[receive_queue];
    std::uint64_t room = 0;
    for (const DescriptorChain& chain : room_)
        room += total_length(chain.writable);
    const bool merges = (features_ & net_f_mrg_rxbuf) != 0;
    while (room < packet_size_ && (merges || room_.empty())) {
        std::optional<DescriptorChain> chain = queue.pop();
        if (!chain) {
            needs_buffers_ = true;
            return false;
        }
        if (chain->writable.empty()) {
            chain->abandon();
            queue.fail("a buffer for packets cannot be written to");
            return false;
        }
        room += total_length(chain->writable);
        room_.push_back(std::move(*chain));
    }
    if (room >= packet_size_) return true;
    drop_packet(counters_.too_large);
    return false;
}

void NetDevice::deliver() {
    std::span<std::uint8_t> left(packet_.get(), packet_size_);
    NetHeader header = decode_net_header(left.first<net_header_size>());
    header.buffers = static_cast<std::uint16_t>(room_.size());
    std::ranges::copy(encode_net_header(header), left.begin());
    while (!room_.empty()) {
        DescriptorChain chain = std::move(room_.front());
        room_.pop_front();
        const std::size_t part = std::min<std::uint64_t>(left.size(), total_length(chain.writable));
        ChainWriter writer(memory_, chain.writable);
        FMVM_CHECK(writer.write(left.first(part)));
        left = left.subspan(part);
        queues_[receive_queue]->push(std::move(chain), static_cast<std::uint32_t>(part));
    }
    ++position_;
    packet_size_ = 0;
}

}  // namespace fmvm
