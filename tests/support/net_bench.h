// SPDX-License-Identifier: Apache-2.0
// A NetDevice on the workbench: guest RAM, its three queues, a transport and a wire around it, and
// no thread but the caller's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "devices/net/net_device.h"
#include "support/fake_driver.h"
#include "support/fake_lines.h"
#include "support/fake_net_backend.h"

namespace fmvm::test {

inline constexpr std::uint64_t usual_net_features =
    virtio_f_version_1 | net_f_mac | net_f_status | net_f_mtu | net_f_ctrl_vq |
    net_f_guest_announce | net_f_ctrl_guest_offloads | host_offload_features |
    guest_offload_features;

struct NetBench {
    explicit NetBench(std::uint64_t features = usual_net_features, const FakeWire& like = {})
        : negotiated(features) {
        wire.room = like.room;
        wire.holds = like.holds;
        wire.link = like.link;
        wire.offloads = like.offloads;
    }

    Virtqueue::State fresh(const FakeQueue& queue) const {
        Virtqueue::State state;
        state.layout = queue.layout();
        state.event_index = (negotiated & virtio_f_event_idx) != 0;
        state.indirect = true;
        return state;
    }
    void activate() {
        device.activate(transport, negotiated, {fresh(receive), fresh(send), fresh(control)});
    }
    // What the loop does until it would sleep. The bound finds a device that never sleeps.
    void run_until_idle() {
        int turns = 0;
        do {
            while (device.poll())
                REQUIRE(++turns < 10'000);
        } while (device.prepare_to_sleep());
    }
    void notify(NetDevice::Queue queue) {
        device.queue_notified(queue);
        run_until_idle();
    }
    std::uint16_t offer(std::uint32_t bytes) { return receive.chain().writable(bytes).submit(); }
    std::uint16_t submit(const Bytes& packet) { return send.chain().readable(packet).submit(); }
    // From outside; the device is told.
    void arrive(const Bytes& packet) {
        wire.give(packet);
        backend->tell();
        run_until_idle();
    }
    // The answer to a command; 0xff: none.
    std::uint8_t command(const Bytes& bytes) {
        ChainBuilder chain = control.chain();
        chain.readable(bytes).writable(1);
        const GuestAddress answer = chain.last_address();
        ram.poke(answer, std::uint8_t{0xff});
        chain.submit();
        notify(NetDevice::control_queue);
        return ram.peek<std::uint8_t>(answer);
    }
    std::uint16_t status() const {
        std::array<std::uint8_t, 2> bytes{};
        device.read_config(6, bytes);
        return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
    }

    std::uint64_t negotiated;
    GuestRam ram{4 * mib};
    EventLoop loop;  // never started
    FakeWire wire;
    FakeTransport transport;
    FakeQueue receive{ram, 16};
    FakeQueue send{ram, 16};
    FakeQueue control{ram, 16};
    FakeNetBackend* backend = new FakeNetBackend(wire);  // the device's
    NetDevice device{ram.memory(), loop, std::unique_ptr<NetBackend>(backend),
                     NetDevice::Options{.mac = {{0x52, 0x54, 0, 1, 2, 3}}, .mtu = 1500}};
};

}  // namespace fmvm::test
