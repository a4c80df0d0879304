// SPDX-License-Identifier: Apache-2.0
// The first serial port: a 16550A at 0x3f8, interrupt 4 (National Semiconductor PC16550D data
// sheet).
#pragma once

#include <cstdint>
#include <string_view>

namespace bare {

class Serial {
  public:
    // Programs the UART: 8N1, FIFOs on, no interrupts; also after somebody else has abused it.
    void reset();
    // Each may be turned on once; without them, the port is polled.
    void use_receive_interrupt();
    void use_transmit_interrupt();

    // All of `text`, at most one FIFO of it at a time. `between` is called after every byte.
    template <class Between>
    void write(std::string_view text, Between between) {
        for (char c : text) {
            put(c);
            between();
        }
    }
    void write(std::string_view text) {
        write(text, [] {});
    }
    // Waits until the last byte has left the transmitter.
    void drain();

    // Takes what the receiver holds; at most `size` bytes. An overrun ends the guest.
    uint32_t read(char* buffer, uint32_t size);

    // The interrupt's counter, and a halt until it differs from `seen`.
    uint64_t interrupts() const;
    void wait(uint64_t seen) const;

  private:
    void put(char c);
    void enable(uint8_t interrupt);
    void wait_for_transmitter();

    uint32_t room_ = 0;  // bytes that the transmit FIFO takes for certain
    uint8_t enabled_ = 0;
    uint8_t vector_ = 0;
    bool ready_ = false;
};

extern Serial serial;

}  // namespace bare
