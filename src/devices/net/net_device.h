// SPDX-License-Identifier: Apache-2.0
// virtio-net (virtio 1.2, 5.1): one pair of queues, and a control queue.
//
// Packets leave in order, and their chains return in order. So what a state must know of a queue is
// where its oldest chain that has not returned stands: the device that goes on takes that chain
// again, and with it sends again what may not have left. Of what comes in, a state holds the
// position: how many packets were taken from outside and done with. Whoever has those behind it may
// give them to the device that goes on; else they are lost, as packets may be.
//
// What the guest sends is copied out of guest RAM once, checked, and never looked at there again. A
// bad header costs that packet. Nothing is read from outside while the guest has no room for it, so
// that a flood waits outside, where it is bounded. Each turn takes one ring's worth at most.
//
// Everything but the constant description belongs to the loop thread.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "devices/net/mac_address.h"
#include "devices/net/net_backend.h"
#include "devices/virtio/device_queue.h"
#include "devices/virtio/virtio_device.h"
#include "vmm/loop/event_loop.h"

namespace fmvm {

// Packets that went nowhere, and why.
struct NetCounters {
    std::uint64_t bad_sent = 0;      // the guest's header or frame was not right
    std::uint64_t withdrawn = 0;     // taken from the guest, which then reset the device
    std::uint64_t too_large = 0;     // received, and larger than the guest's buffer
    std::uint64_t not_accepted = 0;  // received, with a header that the guest did not ask for
};

class NetDevice : public VirtioDevice, public Poller {
  public:
    struct Options {
        MacAddress mac;
        std::uint16_t mtu = 1500;
    };
    // Memory and loop outlive the device.
    NetDevice(GuestMemory& memory, EventLoop& loop, std::unique_ptr<NetBackend> backend,
              const Options& options);
    ~NetDevice() override;

    std::uint32_t device_id() const override { return 1; }
    std::uint64_t features() const override;
    std::vector<std::uint16_t> queue_sizes() const override {
        return {queue_size_max, queue_size_max, control_queue_size_max};
    }
    std::span<const std::uint8_t> config() const override { return config_; }
    void read_config(std::uint64_t offset, std::span<std::uint8_t> data) const override;
    std::string_view identity() const override { return identity_; }
    Words words() const override { return {"MAC address", "MTU"}; }

    void activate(VirtioTransport& transport, std::uint64_t driver_features,
                  const std::vector<Virtqueue::State>& queues) override;
    void queue_notified(std::size_t index) override;
    void reset(std::function<void()> done) override;
    std::vector<Virtqueue::State> queue_states() const override;
    void save(ByteWriter& out) const override;
    Result<Snapshottable::Apply> decode(VirtioTransport& transport, std::uint64_t driver_features,
                                        const std::vector<Virtqueue::State>& queues,
                                        ByteReader& in) override;

    // Asks the guest to tell its neighbours where it is now (5.1.6.5.4). A guest that cannot does
    // nothing.
    void announce();
    const NetCounters& counters() const { return counters_; }

    // Is shown each packet that is taken from outside, and its position. Set before the loop runs.
    using Observer = std::function<void(std::uint64_t position, std::span<const std::uint8_t>)>;
    void on_taken(Observer observer) { observer_ = std::move(observer); }
    std::uint64_t position() const { return position_; }
    // Loop thread, or any while the loop stands. A packet that the guest gets before those that are
    // still outside: header and frame, no larger than packets are.
    void give(std::span<const std::uint8_t> packet);
    // The same threads. Takes what is outside though the guest does not, up to a limit, and keeps
    // it for the guest.
    void take_in();

    bool poll() override;
    bool prepare_to_sleep() override;

    enum Queue : std::size_t { receive_queue, send_queue, control_queue, queue_count };
    static constexpr std::uint16_t queue_size_max = 256;
    static constexpr std::uint16_t control_queue_size_max = 64;

  private:
    struct Sent {
        DescriptorChain chain;
        bool is_bad;  // it was never given to the backend
    };
    void build_config();
    void make_queues(VirtioTransport& transport, std::uint64_t driver_features,
                     const std::vector<Virtqueue::State>& queues, DeviceQueue::Begin begin);
    bool look();
    void settle();
    void look_at_link();
    void set_status(std::uint16_t status);
    void accept_offloads(std::uint64_t offloads);

    bool send();
    bool return_sent();
    bool take_packet(const DescriptorChain& chain, NetPacket& packet);

    bool receive();
    bool fetch();
    std::size_t next_packet(std::span<std::uint8_t> packet);
    bool collect_room();
    void deliver();
    void drop_packet(std::uint64_t& counter);

    bool control();
    bool carry_out(const DescriptorChain& chain);

    GuestMemory& memory_;
    const std::unique_ptr<NetBackend> backend_;
    const std::uint16_t mtu_;
    const std::string identity_;
    std::array<std::uint8_t, 12> config_{};
    std::atomic<std::uint16_t> status_{0};  // read by vCPU threads

    VirtioTransport* transport_ = nullptr;
    std::uint64_t features_ = 0;  // negotiated
    std::uint64_t offloads_ = 0;  // what received packets may ask of the guest
    std::array<std::unique_ptr<DeviceQueue>, queue_count> queues_;
    std::deque<Sent> sent_;                   // taken and not returned, oldest first
    std::deque<DescriptorChain> room_;        // taken for a packet that needs more than these
    std::unique_ptr<std::uint8_t[]> packet_;  // the one that is being received
    std::size_t packet_size_ = 0;             // 0: none
    std::uint64_t position_ = 0;              // how many were taken from outside and done with
    std::deque<NetPacket> kept_;              // taken, for the guest to get next
    Observer observer_;
    bool needs_buffers_ = false;  // something may wait for buffers of the guest's
    NetCounters counters_;
};

}  // namespace fmvm
