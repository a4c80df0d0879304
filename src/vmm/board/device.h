// SPDX-License-Identifier: Apache-2.0
// The interfaces between the machine and its devices. The machine knows devices only through
// these; only the program that builds a machine names concrete ones.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace fmvm {

// Something that answers port or MMIO accesses. Called on vCPU threads, several at once.
class BusDevice {
  public:
    virtual ~BusDevice() = default;
    // offset is relative to where the device sits on the bus. data is 1, 2, 4 or 8 bytes.
    virtual void read(std::uint64_t offset, std::span<std::uint8_t> data) = 0;
    virtual void write(std::uint64_t offset, std::span<const std::uint8_t> data) = 0;
};

// Something with activity of its own that must stand still while state is captured.
// quiesce() returns when it stands: from then until resume() it touches neither guest memory nor
// its own state. Work handed to the kernel (a disk read in flight) may go on; it is part of the
// state, not waited for. Called from the controlling thread only, always in pairs.
class Quiescable {
  public:
    virtual ~Quiescable() = default;
    virtual void quiesce() = 0;
    virtual void resume() = 0;
};

// An edge-triggered interrupt input. Any thread. KVM may deliver a moment later, from a worker of
// its own, even while the machine stands still: so whoever restores a device's state raises its
// line once more when its cause still stands. An edge too many is harmless.
class IrqLine {
  public:
    virtual ~IrqLine() = default;
    virtual void raise() = 0;
};

// Where guest output goes (the console; later the gate that holds it until an epoch is committed).
// write() never blocks and takes all bytes. has_room() turns false while the reader is slow; the
// device then makes the guest wait until it is told that there is room. Only a guest that does not
// wait can lose bytes, at the sink's own limit. Any thread; write() may come under the device's
// lock, so a sink never calls back from it.
class OutputSink {
  public:
    virtual ~OutputSink() = default;
    virtual void write(std::span<const std::uint8_t> bytes) = 0;
    virtual bool has_room() const = 0;
    // How many of the bytes taken have not left this process yet.
    virtual std::uint64_t unwritten() const = 0;
    // Those bytes. Only while writers and the loop stand.
    virtual std::vector<std::uint8_t> unwritten_bytes() const = 0;
    // Called on the loop when there is room again after there was none. Set before use.
    virtual void on_room(std::function<void()> handler) = 0;
};

}  // namespace fmvm
