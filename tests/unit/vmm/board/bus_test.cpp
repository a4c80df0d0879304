// SPDX-License-Identifier: Apache-2.0
#include "vmm/board/bus.h"

#include <array>
#include <catch2/catch.hpp>
#include <limits>

#include "support/death.h"

using namespace fmvm;
using fmvm::test::aborts;

namespace {

struct Recorder : BusDevice {
    struct Access {
        std::uint64_t offset;
        std::vector<std::uint8_t> data;
        bool operator==(const Access&) const = default;
    };
    void read(std::uint64_t offset, std::span<std::uint8_t> data) override {
        for (std::size_t i = 0; i < data.size(); ++i) {
            data[i] = static_cast<std::uint8_t>(base + offset + i);
        }
    }
    void write(std::uint64_t offset, std::span<const std::uint8_t> data) override {
        writes.push_back({offset, {data.begin(), data.end()}});
    }
    std::uint64_t base = 0;
    std::vector<Access> writes;
};

std::vector<std::uint8_t> read(const Bus& bus, std::uint64_t address, std::size_t size) {
    std::vector<std::uint8_t> data(size, 0x55);
    bus.read(address, data);
    return data;
}

}  // namespace

TEST_CASE("bus: an access goes to the device that claims it", "[bus]") {
    Bus bus;
    Recorder low;
    Recorder high;
    high.base = 0x80;
    bus.attach(0x200, 0x10, high);
    bus.attach(0x100, 0x10, low);  // in any order
    CHECK(read(bus, 0x103, 2) == std::vector<std::uint8_t>{3, 4});
    CHECK(read(bus, 0x200, 1) == std::vector<std::uint8_t>{0x80});
    bus.write(0x20f, std::array<std::uint8_t, 1>{7});
    bus.write(0x100, std::array<std::uint8_t, 4>{1, 2, 3, 4});
    CHECK(high.writes == std::vector<Recorder::Access>{{0xf, {7}}});
    CHECK(low.writes == std::vector<Recorder::Access>{{0, {1, 2, 3, 4}}});
}

TEST_CASE("bus: what nobody claims reads as ones and swallows writes", "[bus]") {
    Bus bus;
    Recorder device;
    CHECK(read(bus, 0, 4) == std::vector<std::uint8_t>(4, 0xff));
    bus.attach(0x100, 0x10, device);
    CHECK(read(bus, 0xff, 1) == std::vector<std::uint8_t>{0xff});
    CHECK(read(bus, 0x110, 8) == std::vector<std::uint8_t>(8, 0xff));
    CHECK(read(bus, std::numeric_limits<std::uint64_t>::max(), 8) ==
          std::vector<std::uint8_t>(8, 0xff));
    bus.write(0x110, std::array<std::uint8_t, 1>{1});
    CHECK(device.writes.empty());
}

TEST_CASE("bus: an access across a device's end belongs to nobody", "[bus]") {
    Bus bus;
    Recorder first;
    Recorder second;
    bus.attach(0x100, 0x10, first);
    bus.attach(0x110, 0x10, second);
    CHECK(read(bus, 0x10e, 4) == std::vector<std::uint8_t>(4, 0xff));
    CHECK(read(bus, 0x0fe, 4) == std::vector<std::uint8_t>(4, 0xff));
    bus.write(0x10f, std::array<std::uint8_t, 2>{1, 2});
    CHECK(first.writes.empty());
    CHECK(second.writes.empty());
}

TEST_CASE("bus: devices may touch but not overlap", "[bus]") {
    const auto attach = [](std::uint64_t start, std::uint64_t size) {
        return aborts([=] {
            Bus bus;
            Recorder a;
            Recorder b;
            bus.attach(0x100, 0x10, a);
            bus.attach(start, size, b);
        });
    };
    CHECK(attach(0x100, 0x10));
    CHECK(attach(0x10f, 1));
    CHECK(attach(0xf0, 0x11));
    CHECK(attach(0x108, 2));
    CHECK_FALSE(attach(0x110, 1));
    CHECK_FALSE(attach(0xf0, 0x10));
}
