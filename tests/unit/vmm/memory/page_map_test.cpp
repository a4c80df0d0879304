// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/page_map.h"

#include <sys/mman.h>

#include <catch2/catch.hpp>

#include "base/units.h"

using namespace fmvm;

TEST_CASE("page map: what was never touched is told from what holds something", "[memory]") {
    constexpr std::size_t pages = 300;
    void* const mapped = ::mmap(nullptr, pages * page_size, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(mapped != MAP_FAILED);
    ::madvise(mapped, pages * page_size, MADV_NOHUGEPAGE);
    auto* const bytes = static_cast<std::uint8_t*>(mapped);
    const auto page = [bytes](std::size_t index) { return bytes + index * page_size; };
    *page(3) = 1;
    *page(200) = 0;  // zero, but somebody wrote it
    PageMap map;
    for (std::size_t index = 0; index < pages; ++index)
        CHECK(map.is_untouched(page(index)) == (index != 3 && index != 200));
    // Known until it is asked again.
    *page(299) = 1;
    CHECK(map.is_untouched(page(299)));
    map.forget();
    CHECK_FALSE(map.is_untouched(page(299)));
    CHECK(map.is_untouched(page(298)));
    ::munmap(mapped, pages * page_size);
    map.forget();
}
