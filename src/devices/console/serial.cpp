// SPDX-License-Identifier: Apache-2.0
#include "devices/console/serial.h"

#include <algorithm>

namespace fmvm {

namespace {

// Register offsets; the first two are the divisor latch while DLAB is set.
enum Register : std::uint64_t {
    data_register = 0,
    interrupt_enable = 1,
    interrupt_identity = 2,  // read; FIFO control on write
    line_control = 3,
    modem_control = 4,
    line_status_register = 5,
    modem_status_register = 6,
    scratch = 7,
};

constexpr std::uint8_t enable_received = 0x01;
constexpr std::uint8_t enable_transmit = 0x02;
constexpr std::uint8_t enable_mask = 0x0f;

constexpr std::uint8_t identity_none = 0x01;
constexpr std::uint8_t identity_transmit = 0x02;
constexpr std::uint8_t identity_received = 0x04;
constexpr std::uint8_t identity_fifo = 0xc0;

constexpr std::uint8_t fifo_enable = 0x01;
constexpr std::uint8_t fifo_clear_receive = 0x02;

constexpr std::uint8_t divisor_latch = 0x80;  // in line control

constexpr std::uint8_t loopback = 0x10;  // in modem control
constexpr std::uint8_t modem_mask = 0x1f;
constexpr std::uint8_t modem_dtr = 0x01;
constexpr std::uint8_t modem_rts = 0x02;
constexpr std::uint8_t modem_out1 = 0x04;
constexpr std::uint8_t modem_out2 = 0x08;

constexpr std::uint8_t status_data_ready = 0x01;
constexpr std::uint8_t status_transmit_empty = 0x60;  // holding register and shifter

constexpr std::uint8_t status_cts = 0x10;
constexpr std::uint8_t status_dsr = 0x20;
constexpr std::uint8_t status_ring = 0x40;
constexpr std::uint8_t status_carrier = 0x80;

}  // namespace

// Carries out one register access. Tells the sender if that made room.
template <typename Access>
void Serial::access_registers(Access access) {
    constexpr std::size_t plenty = input_queue_max / 2;
    bool room_again = false;
    {
        const Lock lock(mutex_);
        const bool was_full = state_.received.size() >= plenty;
        access();
        room_again = was_full && state_.received.size() < plenty;
    }
    if (room_again && input_room_handler_) input_room_handler_();
}

void Serial::read(std::uint64_t offset, std::span<std::uint8_t> data) {
    std::fill(data.begin(), data.end(), std::uint8_t{0});
    if (data.size() != 1) return;
    access_registers([&]() FMVM_REQUIRES(mutex_) { data[0] = read_register(offset); });
}

void Serial::write(std::uint64_t offset, std::span<const std::uint8_t> data) {
    if (data.size() != 1) return;
    access_registers([&]() FMVM_REQUIRES(mutex_) { write_register(offset, data[0]); });
}

std::uint8_t Serial::read_register(std::uint64_t offset) {
    const bool latch = (state_.line_control & divisor_latch) != 0;
    switch (offset) {
        case data_register:
            return latch ? static_cast<std::uint8_t>(state_.divisor) : read_received();
        case interrupt_enable:
            return latch ? static_cast<std::uint8_t>(state_.divisor >> 8) : state_.interrupt_enable;
        case interrupt_identity:
            return interrupt_identification();
        case line_control:
            return state_.line_control;
        case modem_control:
            return state_.modem_control;
        case line_status_register:
            return line_status();
        case modem_status_register:
            return modem_status();
        case scratch:
            return state_.scratch;
        default:
            return 0;
    }
}

void Serial::write_register(std::uint64_t offset, std::uint8_t value) {
    const bool latch = (state_.line_control & divisor_latch) != 0;
    const bool was_pending = interrupt_pending();
    bool new_cause = false;
    switch (offset) {
        case data_register:
            if (latch) {
                state_.divisor = static_cast<std::uint16_t>((state_.divisor & 0xff00) | value);
            } else {
                transmit(value);
                new_cause = true;
            }
            break;
        case interrupt_enable:
            if (latch) {
                state_.divisor = static_cast<std::uint16_t>((state_.divisor & 0xff) | value << 8);
                break;
            }
            // Enabling the transmit interrupt while the register is empty reports it at once.
            if ((value & ~state_.interrupt_enable & enable_transmit) != 0) {
                state_.transmit_pending = !state_.waiting_for_sink;
            }
            state_.interrupt_enable = value & enable_mask;
            break;
        case interrupt_identity:  // FIFO control
            state_.fifo_enabled = (value & fifo_enable) != 0;
            if ((value & fifo_clear_receive) != 0) clear_fifo();
            break;
        case line_control:
            state_.line_control = value;
            break;
        case modem_control:
            state_.modem_control = value & modem_mask;
            break;
        case scratch:
            state_.scratch = value;
            break;
        default:
            break;
    }
    update_interrupt(was_pending, new_cause);
}

void Serial::transmit(std::uint8_t byte) {
    if ((state_.modem_control & loopback) != 0) {
        if (state_.received.size() < input_queue_max) state_.received.push_back(byte);
    } else {
        sink_.write({&byte, 1});
        state_.waiting_for_sink = !sink_.has_room();
    }
    state_.transmit_pending = !state_.waiting_for_sink;
}

std::uint8_t Serial::read_received() {
    if (state_.received.empty()) return 0;
    const std::uint8_t byte = state_.received.front();
    state_.received.pop_front();
    return byte;
}

// Drivers clear the FIFO when they open the port. What was typed until then is not lost: it counts
// as received only when it is read, as if the line had held it back. Looped-back bytes are lost.
void Serial::clear_fifo() {
    if ((state_.modem_control & loopback) != 0) state_.received.clear();
}

std::uint8_t Serial::interrupt_identification() {
    const std::uint8_t fifo = state_.fifo_enabled ? identity_fifo : 0;
    if ((state_.interrupt_enable & enable_received) != 0 && !state_.received.empty()) {
        return fifo | identity_received;
    }
    if ((state_.interrupt_enable & enable_transmit) != 0 && state_.transmit_pending) {
        state_.transmit_pending = false;  // reading the cause clears it
        return fifo | identity_transmit;
    }
    return fifo | identity_none;
}

std::uint8_t Serial::line_status() const {
    std::uint8_t status = state_.waiting_for_sink ? 0 : status_transmit_empty;
    if (!state_.received.empty()) status |= status_data_ready;
    return status;
}

std::uint8_t Serial::modem_status() const {
    if ((state_.modem_control & loopback) == 0) return status_cts | status_dsr | status_carrier;
    std::uint8_t status = 0;
    if ((state_.modem_control & modem_rts) != 0) status |= status_cts;
    if ((state_.modem_control & modem_dtr) != 0) status |= status_dsr;
    if ((state_.modem_control & modem_out1) != 0) status |= status_ring;
    if ((state_.modem_control & modem_out2) != 0) status |= status_carrier;
    return status;
}

bool Serial::interrupt_pending() const {
    return ((state_.interrupt_enable & enable_received) != 0 && !state_.received.empty()) ||
           ((state_.interrupt_enable & enable_transmit) != 0 && state_.transmit_pending);
}

// The line is edge-triggered: it is pulsed when a cause appears, also when an older one is still
// unserved, because a transmission ends one cause and begins the next in the same instant.
void Serial::update_interrupt(bool was_pending, bool new_cause) {
    if (interrupt_pending() && (!was_pending || new_cause)) irq_.raise();
}

void Serial::receive(std::span<const std::uint8_t> bytes) {
    const Lock lock(mutex_);
    const bool was_pending = interrupt_pending();
    state_.received.insert(state_.received.end(), bytes.begin(), bytes.end());
    update_interrupt(was_pending, true);
}

std::size_t Serial::input_room() const {
    const Lock lock(mutex_);
    return input_queue_max - std::min(input_queue_max, state_.received.size());
}

void Serial::output_ready() {
    const Lock lock(mutex_);
    if (!state_.waiting_for_sink) return;
    const bool was_pending = interrupt_pending();
    state_.waiting_for_sink = false;
    state_.transmit_pending = true;
    update_interrupt(was_pending, true);
}

Serial::State Serial::state() const {
    const Lock lock(mutex_);
    return state_;
}

void Serial::save(ByteWriter& out) const {
    const Lock lock(mutex_);
    out.u8(state_.interrupt_enable);
    out.u8(state_.line_control);
    out.u8(state_.modem_control);
    out.u8(state_.scratch);
    out.u16(state_.divisor);
    out.flag(state_.fifo_enabled);
    out.flag(state_.transmit_pending || state_.waiting_for_sink);
    out.u32(static_cast<std::uint32_t>(state_.received.size()));
    for (const std::uint8_t byte : state_.received)
        out.u8(byte);
}

Result<Snapshottable::Apply> Serial::decode(ByteReader& in) {
    // The sender asks for room, the guest loops bytes back, and then the sender fills that room.
    constexpr std::size_t received_max = 2 * input_queue_max;
    State state;
    state.interrupt_enable = in.u8();
    state.line_control = in.u8();
    state.modem_control = in.u8();
    state.scratch = in.u8();
    state.divisor = in.u16();
    state.fifo_enabled = in.flag();
    state.transmit_pending = in.flag();
    const auto received = in.blob(received_max);
    state.received.assign(received.begin(), received.end());
    const bool fits =
        (state.interrupt_enable & ~enable_mask) == 0 && (state.modem_control & ~modem_mask) == 0;
    if (!in.done() || !fits) return Error("it is malformed");
    return Apply([this, state = std::move(state)] {
        const Lock lock(mutex_);
        state_ = state;
        if (interrupt_pending()) irq_.raise();
    });
}

}  // namespace fmvm
