// SPDX-License-Identifier: Apache-2.0
// A 16550A serial port (National Semiconductor PC16550D data sheet): the guest's console.
//
// Transmission takes no time: a byte written goes to the sink at once, and the holding register is
// empty again. If the sink has no room, the guest is told to wait; the sink still keeps the bytes
// that it sends meanwhile. Received bytes wait in a queue behind the 16-byte FIFO, so that none is
// ever overrun; the sender asks input_room() first.
//
// vCPU threads access the registers; input and news of the sink come on the loop thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>

#include "base/mutex.h"
#include "vmm/board/device.h"
#include "vmm/machine/state_image.h"

namespace fmvm {

class Serial : public BusDevice, public Snapshottable {
  public:
    struct State {
        std::uint8_t interrupt_enable = 0;
        std::uint8_t line_control = 0;
        std::uint8_t modem_control = 0;
        std::uint8_t scratch = 0;
        std::uint16_t divisor = 12;  // 9600 baud, as after power-on
        bool fifo_enabled = false;
        bool transmit_pending = false;  // the holding register became empty, not yet reported
        bool waiting_for_sink = false;  // bytes were sent while the sink had no room
        std::deque<std::uint8_t> received;
    };

    // Line and sink must outlive the device.
    Serial(IrqLine& irq, OutputSink& sink) : irq_(irq), sink_(sink) {}

    void read(std::uint64_t offset, std::span<std::uint8_t> data) override;
    void write(std::uint64_t offset, std::span<const std::uint8_t> data) override;

    // Hands received bytes to the guest. Loop thread.
    void receive(std::span<const std::uint8_t> bytes);
    // How many bytes receive() accepts now.
    std::size_t input_room() const;
    // Called on a vCPU thread when the guest has taken enough bytes to make room for more.
    void on_input_room(std::function<void()> handler) { input_room_handler_ = std::move(handler); }
    // The sink has room again. Loop thread.
    void output_ready();

    State state() const;

    // A serial port that waits for its sink is saved as one that was told that there is room: the
    // port that goes on has another sink.
    std::uint32_t state_version() const override { return 1; }
    void save(ByteWriter& out) const override;
    Result<Apply> decode(ByteReader& in) override;

    static constexpr std::size_t input_queue_max = 4096;
    static constexpr std::uint64_t register_count = 8;

  private:
    template <typename Access>
    void access_registers(Access access);
    std::uint8_t read_register(std::uint64_t offset) FMVM_REQUIRES(mutex_);
    void write_register(std::uint64_t offset, std::uint8_t value) FMVM_REQUIRES(mutex_);
    std::uint8_t read_received() FMVM_REQUIRES(mutex_);
    void clear_fifo() FMVM_REQUIRES(mutex_);
    std::uint8_t interrupt_identification() FMVM_REQUIRES(mutex_);
    std::uint8_t line_status() const FMVM_REQUIRES(mutex_);
    std::uint8_t modem_status() const FMVM_REQUIRES(mutex_);
    void transmit(std::uint8_t byte) FMVM_REQUIRES(mutex_);
    bool interrupt_pending() const FMVM_REQUIRES(mutex_);
    void update_interrupt(bool was_pending, bool new_cause) FMVM_REQUIRES(mutex_);

    IrqLine& irq_;
    OutputSink& sink_;
    std::function<void()> input_room_handler_;
    mutable Mutex mutex_;
    State state_ FMVM_GUARDED_BY(mutex_);
};

}  // namespace fmvm
