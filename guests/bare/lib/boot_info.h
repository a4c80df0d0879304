// SPDX-License-Identifier: Apache-2.0
// What the VMM hands over at the PVH entry (hvm_start_info), and the RAM that is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bare {

// Copies the command line and notes the RAM around the guest's image; called once, first of all.
std::string_view read_boot_info();

// Page-aligned RAM, as the VMM left it; ends the guest when there is not so much.
uint64_t allocate_pages(uint64_t bytes);

// Gives back all that was allocated during its life.
class AllocationScope {
  public:
    AllocationScope();
    ~AllocationScope();
    AllocationScope(const AllocationScope&) = delete;
    AllocationScope& operator=(const AllocationScope&) = delete;

  private:
    uint64_t mark_;
};

template <class T>
T* allocate(size_t count) {
    return reinterpret_cast<T*>(allocate_pages(count * sizeof(T)));
}

uint64_t free_ram();
// One past the last byte of the RAM that holds the guest.
uint64_t ram_end();

}  // namespace bare
