// SPDX-License-Identifier: Apache-2.0
#include "vmm/board/layout.h"

#include <catch2/catch.hpp>
#include <set>

using namespace fmvm;

TEST_CASE("layout: RAM leaves the hole for devices free", "[layout]") {
    const auto small = layout::ram_ranges(64 * mib);
    REQUIRE(small.size() == 1);
    CHECK(small[0].start == GuestAddress(0));
    CHECK(small[0].size == 64 * mib);

    CHECK(layout::ram_ranges(3 * gib).size() == 1);
    const auto large = layout::ram_ranges(3 * gib + page_size);
    REQUIRE(large.size() == 2);
    CHECK(large[0].size == 3 * gib);
    CHECK(large[1].start == layout::mmio_hole_end);
    CHECK(large[1].size == page_size);
}

TEST_CASE("layout: the memory map tells of all RAM but the reserved part", "[layout]") {
    const auto memory = GuestMemory::allocate(layout::ram_ranges(4 * gib)).value();
    const auto map = layout::memory_map(memory);
    std::uint64_t usable = 0;
    std::uint64_t reserved = 0;
    GuestAddress end(0);
    for (const auto& entry : map) {
        CHECK(entry.start >= end);
        end = entry.start + entry.size;
        (entry.type == 1 ? usable : reserved) += entry.size;
    }
    CHECK(usable + reserved == 4 * gib);
    CHECK(reserved == layout::high_memory - layout::base_memory_end);
    CHECK(end == memory.end());
}

TEST_CASE("layout: what is placed in low memory does not overlap", "[layout]") {
    struct Area {
        GuestAddress start;
        std::uint64_t size;
    };
    const Area areas[] = {
        {layout::boot_gdt, 0x100},
        {layout::hvm_start_info, page_size},
        {layout::zero_page, page_size},
        {layout::boot_page_tables, 6 * page_size},
        {layout::command_line, layout::command_line_size_max},
        {layout::mp_table, 16},
        {layout::acpi_tables, layout::acpi_tables_size_max},
        {layout::mp_configuration_table, 0x1000},
        {layout::reset_vector, 16},
        {layout::high_memory, 0},
    };
    for (std::size_t i = 0; i + 1 < std::size(areas); ++i) {
        CHECK(areas[i].start + areas[i].size <= areas[i + 1].start);
    }
}

TEST_CASE("layout: devices sit in the hole", "[layout]") {
    const GuestAddress virtio_end =
        layout::virtio_mmio(layout::virtio_device_count_max - 1) + layout::virtio_mmio_stride;
    CHECK(layout::virtio_mmio_base >= layout::mmio_hole_start);
    CHECK(virtio_end <= layout::io_apic);
    CHECK(layout::io_apic < layout::local_apic);
    CHECK(layout::kvm_identity_map + page_size <= layout::kvm_tss);
    CHECK(layout::kvm_tss + 3 * page_size <= layout::mmio_hole_end);
}

TEST_CASE("layout: every device has a pin of its own", "[layout]") {
    constexpr unsigned timer = 0;
    constexpr unsigned cascade = 2;
    constexpr unsigned rtc = 8;
    std::set<unsigned> pins{timer, cascade, rtc, layout::serial_irq};
    const std::size_t fixed = pins.size();
    for (unsigned i = 0; i < layout::virtio_device_count_max; ++i) {
        CHECK(layout::virtio_irq(i) < layout::irq_pins);
        pins.insert(layout::virtio_irq(i));
    }
    CHECK(pins.size() == fixed + layout::virtio_device_count_max);
}
