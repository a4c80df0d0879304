// SPDX-License-Identifier: Apache-2.0
#include "devices/net/net_device.h"

#include <algorithm>

#include "base/little_endian.h"

namespace fmvm {

namespace {

// 5.1.4: offsets in struct virtio_net_config
constexpr std::size_t config_mac = 0;
constexpr std::size_t config_status = 6;
constexpr std::size_t config_queue_pairs = 8;
constexpr std::size_t config_mtu = 10;

// 5.1.4
constexpr std::uint16_t status_link_up = 1;
constexpr std::uint16_t status_announce = 2;

}  // namespace

NetDevice::NetDevice(GuestMemory& memory, EventLoop& loop, std::unique_ptr<NetBackend> backend,
                     const Options& options)
    : memory_(memory),
      backend_(std::move(backend)),
      mtu_(options.mtu),
      identity_(to_text(options.mac)),
      packet_(std::make_unique<std::uint8_t[]>(net_packet_size_max)) {
    std::ranges::copy(options.mac.bytes, config_.begin() + config_mac);
    store_le<std::uint16_t>(config_, config_queue_pairs, 1);
    store_le<std::uint16_t>(config_, config_mtu, mtu_);
    look_at_link();
    backend_->on_change([this] {
        if (look()) settle();
    });
    loop.add_poller(*this);
}

NetDevice::~NetDevice() {
    for (Sent& sent : sent_)
        sent.chain.abandon();
    for (DescriptorChain& chain : room_)
        chain.abandon();
}

std::uint64_t NetDevice::features() const {
    const std::uint64_t offloads = backend_->offloads();
    std::uint64_t features = virtio_f_version_1 | virtio_f_indirect_desc | virtio_f_event_idx |
                             net_f_mac | net_f_status | net_f_mtu | net_f_mrg_rxbuf |
                             net_f_ctrl_vq | net_f_guest_announce | offloads;
    if ((offloads & guest_offload_features) != 0) features |= net_f_ctrl_guest_offloads;
    return features;
}

void NetDevice::read_config(std::uint64_t offset, std::span<std::uint8_t> data) const {
    std::array<std::uint8_t, 12> now = config_;
    store_le<std::uint16_t>(now, config_status, status_);
    for (std::size_t i = 0; i < data.size() && offset + i < now.size(); ++i)
        data[i] = now[offset + i];
}

void NetDevice::activate(VirtioTransport& transport, std::uint64_t driver_features,
                         const std::vector<Virtqueue::State>& queues) {
    make_queues(transport, driver_features, queues, DeviceQueue::Begin::fresh);
    accept_offloads(driver_features & guest_offload_features);
    look();
    settle();
}

void NetDevice::make_queues(VirtioTransport& transport, std::uint64_t driver_features,
                            const std::vector<Virtqueue::State>& queues, DeviceQueue::Begin begin) {
    transport_ = &transport;
    features_ = driver_features;
    for (std::size_t i = 0; i < queue_count; ++i) {
        if (queues[i].layout.ready)
            queues_[i] = std::make_unique<DeviceQueue>(memory_, queues[i], begin);
    }
}

void NetDevice::accept_offloads(std::uint64_t offloads) {
    offloads_ = offloads;
    backend_->accept_offloads(usable_offloads(offloads));
}

void NetDevice::queue_notified(std::size_t) {
    look();
    settle();
}

bool NetDevice::poll() {
    const bool worked = look();
    if (worked) settle();
    return worked;
}

// Does what can be done now. True if there was anything.
bool NetDevice::look() {
    look_at_link();
    const bool commanded = control();
    const bool sent = send();
    const bool received = receive();
    return commanded || sent || received;
}

void NetDevice::settle() {
    for (const auto& queue : queues_) {
        if (queue) queue->settle(*transport_);
    }
}

bool NetDevice::prepare_to_sleep() {
    bool more = false;
    const auto ask = [&](Queue index) {
        if (queues_[index]) more |= queues_[index]->ask_for_notifications(*transport_);
    };
    ask(control_queue);
    // Without room the backend says when there is some again.
    if (backend_->has_room()) ask(send_queue);
    if (needs_buffers_) ask(receive_queue);
    return more;
}

void NetDevice::look_at_link() {
    const std::uint16_t link = backend_->link_up() ? status_link_up : 0;
    if (link != (status_ & status_link_up))
        set_status(static_cast<std::uint16_t>((status_ & ~status_link_up) | link));
}

void NetDevice::set_status(std::uint16_t status) {
    status_ = status;
    if ((features_ & net_f_status) != 0) transport_->config_changed();
}

void NetDevice::announce() {
    if ((features_ & net_f_guest_announce) != 0)
        set_status(static_cast<std::uint16_t>(status_ | status_announce));
}

void NetDevice::reset(std::function<void()> done) {
    counters_.withdrawn += sent_.size();
    backend_->withdraw();
    for (Sent& sent : std::exchange(sent_, {}))
        sent.chain.abandon();
    for (DescriptorChain& chain : std::exchange(room_, {}))
        chain.abandon();
    queues_ = {};
    position_ += (packet_size_ != 0 ? 1 : 0) + kept_.size();
    packet_size_ = 0;
    kept_.clear();
    needs_buffers_ = false;
    features_ = 0;
    transport_ = nullptr;
    set_status(static_cast<std::uint16_t>(status_ & ~status_announce));
    done();
}

// 5.1.6.5: a class, a command and its data; the device answers with one byte.
bool NetDevice::control() {
    constexpr std::uint8_t answer_ok = 0;
    constexpr std::uint8_t answer_error = 1;
    DeviceQueue* const queue = queues_[control_queue].get();
    if (queue == nullptr) return false;
    unsigned count = 0;
    for (; count < control_queue_size_max; ++count) {
        std::optional<DescriptorChain> chain = queue->pop();
        if (!chain) break;
        const std::uint8_t answer = carry_out(*chain) ? answer_ok : answer_error;
        ChainWriter writer(memory_, chain->writable);
        if (!writer.write({&answer, 1})) {
            chain->abandon();
            queue->fail("a command has no room for its answer");
            return true;
        }
        queue->push(std::move(*chain), 1);
    }
    return count != 0;
}

bool NetDevice::carry_out(const DescriptorChain& chain) {
    constexpr std::uint8_t class_announce = 3;
    constexpr std::uint8_t class_guest_offloads = 5;
    ChainReader reader(memory_, chain.readable);
    std::array<std::uint8_t, 2> header{};  // class and command; each class we know has one, 0
    if (!reader.read(header) || header[1] != 0) return false;
    if (header[0] == class_announce && (features_ & net_f_guest_announce) != 0) {
        status_ = static_cast<std::uint16_t>(status_ & ~status_announce);
        return true;
    }
    if (header[0] != class_guest_offloads || (features_ & net_f_ctrl_guest_offloads) == 0)
        return false;
    std::array<std::uint8_t, 8> bytes{};
    if (!reader.read(bytes)) return false;
    const auto offloads = load_le<std::uint64_t>(bytes);
    if ((offloads & ~(features_ & guest_offload_features)) != 0) return false;
    accept_offloads(offloads);
    return true;
}

}  // namespace fmvm
