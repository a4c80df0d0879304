// SPDX-License-Identifier: Apache-2.0
// A guest that does anything at all to a network card, and a wire that does what it likes: queue
// contents, headers, commands, resets, floods. Mostly valid with rare breaks, because plain random
// bytes end at the first broken chain.
//
// What must hold all the time:
//  - every byte of guest RAM that changes while the guest stands still is in a page marked dirty;
//  - what goes out has a header that a kernel may see, whatever the guest wrote;
//  - as long as the guest leaves its rings alone, a chain is returned only once it was made
//    available, and once, and the device works;
// and whatever happened, after a reset the device works again.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <set>

#include "base/log.h"
#include "devices/net/net_device.h"
#include "support/fake_driver.h"
#include "support/fake_lines.h"
#include "support/fake_net_backend.h"
#include "watched_ram.h"

namespace {

using namespace fmvm;
using namespace fmvm::test;

constexpr std::uint64_t ram_size = 256 * kib;
constexpr std::uint64_t queue_bytes = 3 * page_size;  // rings of one queue
constexpr GuestAddress rings_end{page_size + 3 * queue_bytes};
constexpr std::uint64_t features_always =
    virtio_f_version_1 | virtio_f_indirect_desc | net_f_mac | net_f_status;
constexpr std::uint64_t request_bytes_max = 72 * kib;
constexpr unsigned steps_max = 300;

// What the kernel is shown: said here apart from the code that makes it so.
void check_shown(const Bytes& packet, std::uint64_t features) {
    FMVM_CHECK(packet.size() >= net_header_size + ethernet_header_size);
    FMVM_CHECK(packet.size() <= net_packet_size_max);
    const std::size_t size = packet.size() - net_header_size;
    const std::uint8_t flags = packet[0];
    const std::uint8_t gso = packet[1];
    const auto word = [&](std::size_t at) {
        return static_cast<std::size_t>(packet[at] | packet[at + 1] << 8);
    };
    FMVM_CHECK(flags == 0 || (flags == 1 && (features & net_f_csum) != 0));
    if (flags != 0) FMVM_CHECK(word(6) >= 14 && word(6) + word(8) + 2 <= size);
    FMVM_CHECK(word(2) <= size && word(10) == 0);
    if (gso == 0) {
        FMVM_CHECK(size <= 1518);
        return;
    }
    FMVM_CHECK(flags == 1 && word(4) != 0 && word(8) == 16 && word(6) + 20 <= size);
    FMVM_CHECK((gso & 0x7f) == 1 ? (features & net_f_host_tso4) != 0
                                 : (gso & 0x7f) == 4 && (features & net_f_host_tso6) != 0);
    FMVM_CHECK((gso & 0x80) == 0 || (features & net_f_host_ecn) != 0);
}

class Session {
  public:
    explicit Session(FuzzedDataProvider& input) : input_(input) { activate(); }

    void run() {
        for (unsigned i = 0; i < steps_max && input_.remaining_bytes() != 0; ++i)
            step();
        reset();
        check_works();
    }

  private:
    using Index = NetDevice::Queue;
    struct Driven {
        std::optional<FakeQueue> queue;
        std::multiset<std::uint16_t> outstanding;  // heads that are the device's
    };

    bool rarely() { return input_.ConsumeIntegral<std::uint8_t>() < 8; }
    std::uint32_t below(std::uint32_t limit) {
        return input_.ConsumeIntegralInRange<std::uint32_t>(0, limit - 1);
    }
    // Bytes of the driver's own, or, rarely, anything.
    GuestAddress buffer(std::uint64_t length) {
        if (rarely()) {
            is_tampered_ = true;
            return GuestAddress(input_.ConsumeIntegral<std::uint64_t>());
        }
        const GuestAddress at = next_;
        next_ = next_ + length;
        return at;
    }
    // Room for one more request. A queue holds few, so that each has its descriptors.
    bool has_room(Index index) {
        if (driven_[index].outstanding.size() >= 4) return false;
        if (ram_size - next_.value() >= request_bytes_max) return true;
        const bool idle = std::ranges::all_of(
            driven_, [](const Driven& driven) { return driven.outstanding.empty(); });
        if (!idle) return false;
        next_ = rings_end;
        return true;
    }

    void activate() {
        features_ = features_always;
        for (const std::uint64_t feature :
             {virtio_f_event_idx, net_f_mrg_rxbuf, net_f_ctrl_vq, net_f_guest_announce,
              net_f_ctrl_guest_offloads, net_f_csum, net_f_host_tso4, net_f_host_tso6,
              net_f_host_ecn, net_f_guest_csum, net_f_guest_tso4, net_f_guest_tso6,
              net_f_guest_ecn}) {
            if (input_.ConsumeBool()) features_ |= feature;
        }
        ram_.poke_bytes(GuestAddress(0), Bytes(rings_end.value()));
        std::vector<Virtqueue::State> states;
        for (std::size_t i = 0; i < driven_.size(); ++i) {
            const GuestAddress at = GuestAddress(page_size) + i * queue_bytes;
            driven_[i].queue.emplace(ram_, std::uint16_t{16},
                                     FakeQueue::Places{at, at + page_size, at + 2 * page_size});
            driven_[i].outstanding.clear();
            Virtqueue::State state;
            state.layout = driven_[i].queue->layout();
            state.event_index = (features_ & virtio_f_event_idx) != 0;
            state.indirect = true;
            states.push_back(state);
        }
        is_tampered_ = false;
        next_ = rings_end;
        device_.activate(transport_, features_, states);
    }

    void reset() {
        device_.reset([] {});
        FMVM_CHECK(device_.queue_states().empty());
        FMVM_CHECK(backend_->held() == 0);
        transport_.failures.clear();
    }

    void step() {
        switch (below(9)) {
            case 0:
            case 1:
                submit_packet();
                break;
            case 2:
                offer_buffers();
                break;
            case 3:
                submit_command();
                break;
            case 4:
                arrive();
                break;
            case 5:
                wire_.holds = input_.ConsumeBool();
                wire_.room = 1 + below(20);
                wire_.link = !rarely();
                if (rarely()) device_.announce();
                break;
            case 6:
                backend_->let_go(below(static_cast<std::uint32_t>(backend_->held()) + 1));
                break;
            case 7:
                if (rarely()) tamper();
                break;
            default:
                if (rarely()) {
                    reset();
                    activate();
                }
        }
        pump();
    }

    // The loop's work until there is none. The guest stands still meanwhile.
    void pump() {
        watched_.begin();
        do {
            while (device_.poll()) {
            }
        } while (device_.prepare_to_sleep());
        watched_.check();
        collect_used();
        for (; checked_ < wire_.sent().size(); ++checked_)
            check_shown(wire_.sent()[checked_], features_);
        FMVM_CHECK(is_tampered_ || transport_.failures.empty());
    }
    void collect_used() {
        for (Driven& driven : driven_) {
            const std::vector<UsedElement> used = driven.queue->take_used();
            if (is_tampered_) continue;
            for (const UsedElement& element : used) {
                const auto head = driven.outstanding.find(static_cast<std::uint16_t>(element.head));
                FMVM_CHECK(head != driven.outstanding.end());
                driven.outstanding.erase(head);
            }
        }
    }

    void submit(Index index, ChainBuilder& chain) {
        if (input_.ConsumeBool()) chain.indirect_at(buffer(chain.table_size()));
        driven_[index].outstanding.insert(chain.submit());
    }

    void submit_packet() {
        if (!has_room(NetDevice::send_queue)) return;
        NetHeader header;
        if (input_.ConsumeBool()) {
            header.flags = 1;
            header.checksum_start = static_cast<std::uint16_t>(34 + (rarely() ? below(65000) : 0));
            header.checksum_offset = static_cast<std::uint16_t>(rarely() ? below(65000) : 16);
            if (input_.ConsumeBool()) {
                constexpr std::uint8_t kinds[] = {1, 4, 0x81, 0x84, 3, 5, 0x80};
                header.gso_type = input_.PickValueInArray(kinds);
                header.gso_size = static_cast<std::uint16_t>(below(1500));
                header.header_length = static_cast<std::uint16_t>(below(2000));
            }
        }
        NetHeaderBytes bytes = encode_net_header(header);
        if (rarely()) bytes[below(net_header_size)] = input_.ConsumeIntegral<std::uint8_t>();
        const std::uint32_t size = rarely() ? below(70'000) : 1 + below(3000);
        const GuestAddress at = buffer(net_header_size + size);
        ram_.poke_bytes(at, bytes);
        ChainBuilder chain = driven_[NetDevice::send_queue].queue->chain();
        if (input_.ConsumeBool()) {
            chain.readable_at(at, net_header_size + size);
        } else {
            const std::uint32_t first = 1 + below(net_header_size + size - 1);
            chain.readable_at(at, first).readable_at(at + first, net_header_size + size - first);
        }
        if (rarely()) chain.writable_at(buffer(64), 64);
        submit(NetDevice::send_queue, chain);
    }

    void offer_buffers() {
        if (!has_room(NetDevice::receive_queue)) return;
        const std::uint32_t size = 1 + below(rarely() ? 70'000 : 2000);
        const GuestAddress at = buffer(size);
        ChainBuilder chain = driven_[NetDevice::receive_queue].queue->chain();
        chain.writable_at(at, size);
        submit(NetDevice::receive_queue, chain);
    }

    void submit_command() {
        if (!has_room(NetDevice::control_queue)) return;
        constexpr std::uint8_t classes[] = {3, 5, 0, 1, 4};
        Bytes command{input_.PickValueInArray(classes), std::uint8_t{rarely()}};
        const Bytes data = input_.ConsumeBytes<std::uint8_t>(below(12));
        command.insert(command.end(), data.begin(), data.end());
        const GuestAddress at = buffer(64);
        ram_.poke_bytes(at, command);
        ChainBuilder chain = driven_[NetDevice::control_queue].queue->chain();
        chain.readable_at(at, static_cast<std::uint32_t>(command.size()));
        if (rarely()) {
            is_tampered_ = true;
        } else {
            chain.writable_at(buffer(1), 1);
        }
        submit(NetDevice::control_queue, chain);
    }

    void arrive() {
        for (std::uint32_t count = 1 + below(rarely() ? 600 : 4); count != 0; --count) {
            Bytes packet(net_header_size + 14 + below(rarely() ? 65'500 : 2000), 0x22);
            const Bytes header = input_.ConsumeBytes<std::uint8_t>(rarely() ? 2 : 0);
            std::fill_n(packet.begin(), net_header_size, std::uint8_t{0});
            std::copy(header.begin(), header.end(), packet.begin());
            if (wire_.incoming() < 600) wire_.give(std::move(packet));
        }
        backend_->tell();
    }

    void tamper() {
        is_tampered_ = true;
        FakeQueue& queue = *driven_[below(NetDevice::queue_count)].queue;
        switch (below(3)) {
            case 0:
                queue.set_available_index(input_.ConsumeIntegral<std::uint16_t>());
                break;
            case 1:
                queue.publish(static_cast<std::uint16_t>(below(20)));
                break;
            default:
                ram_.poke_bytes(GuestAddress(page_size) + below(3 * queue_bytes),
                                input_.ConsumeBytes<std::uint8_t>(1 + below(16)));
        }
    }

    void check_works() {
        wire_.holds = false;
        wire_.room = SIZE_MAX;
        activate();
        const std::size_t before = wire_.sent().size();
        ram_.poke_bytes(rings_end, packet_of({}, frame(60, 9)));
        Driven& driven = driven_[NetDevice::send_queue];
        driven.outstanding.insert(
            driven.queue->chain().readable_at(rings_end, net_header_size + 60).submit());
        pump();
        FMVM_CHECK(wire_.sent().size() == before + 1);
        reset();
    }

    FuzzedDataProvider& input_;
    GuestRam ram_{ram_size};
    WatchedRam watched_{ram_};
    EventLoop loop_;  // never started
    FakeWire wire_;
    FakeTransport transport_;
    FakeNetBackend* backend_ = new FakeNetBackend(wire_);  // the device's
    NetDevice device_{ram_.memory(), loop_, std::unique_ptr<NetBackend>(backend_),
                      NetDevice::Options{}};
    std::array<Driven, NetDevice::queue_count> driven_;
    GuestAddress next_ = rings_end;
    std::uint64_t features_ = 0;
    bool is_tampered_ = false;  // the guest did what makes its own rings unreliable
    std::size_t checked_ = 0;   // packets that went out and were looked at
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fmvm::log::set_level(fmvm::log::Level::error);
    FuzzedDataProvider input(data, size);
    Session(input).run();
    return 0;
}
