// SPDX-License-Identifier: Apache-2.0
#include "sim/toy_guest.h"

#include <cstring>

#include "base/byte_codec.h"
#include "sim/observer.h"

namespace fmvm::sim {

namespace {

constexpr unsigned pages_per_step = 3;
constexpr std::uint64_t hot_pages = 8;

// Most pages change in few places from one content to the next, some everywhere, some to zeroes.
void fill(std::span<std::uint8_t, page_size> page, std::uint64_t seed) {
    if (seed == 0) {
        std::memset(page.data(), 0, page.size());
        return;
    }
    const std::uint64_t changes_every = seed % 8 == 1 ? 1 : 64;
    for (std::size_t i = 0; i < page_size / 8; ++i) {
        const std::uint64_t value = i % changes_every == 0 ? mix(seed + i) : i;
        std::memcpy(page.data() + i * 8, &value, 8);
    }
}

}  // namespace

void ToyGuest::step() {
    ++steps_;
    word_ = mix(word_ ^ rng_.next());
    for (unsigned i = 0; i < pages_per_step; ++i) {
        const std::uint64_t seed = mix(word_ + i);
        const std::uint64_t bound = i == 0 ? toy_pages : hot_pages;
        write_page(static_cast<PageIndex>(seed % bound), seed % 16 == 5 ? 0 : seed >> 8);
    }
    if (word_ % 3 != 0 || !console_.has_room()) return;
    const std::string line = make_line(lines_++, word_);
    console_.write({reinterpret_cast<const std::uint8_t*>(line.data()), line.size()});
}

void ToyGuest::write_page(PageIndex page, std::uint64_t seed) {
    seeds_[page] = seed;
    fill(ram_.page(page), seed);
    dirty_.insert(page);
}

std::vector<std::uint8_t> ToyGuest::save() const {
    ByteWriter out;
    out.u64(steps_);
    out.u64(lines_);
    out.u64(word_);
    for (const std::uint64_t seed : seeds_)
        out.u64(seed);
    return out.take();
}

Result<void> ToyGuest::restore(std::span<const std::uint8_t> state) {
    ByteReader in(state);
    steps_ = in.u64();
    lines_ = in.u64();
    word_ = in.u64();
    for (std::uint64_t& seed : seeds_)
        seed = in.u64();
    if (!in.done()) return Error("the state is damaged");
    return {};
}

std::optional<PageIndex> ToyGuest::first_wrong_page() const {
    std::array<std::uint8_t, page_size> expected;
    for (PageIndex page = 0; page < toy_pages; ++page) {
        fill(expected, seeds_[page]);
        if (std::memcmp(expected.data(), ram_.page(page).data(), page_size) != 0) return page;
    }
    return std::nullopt;
}

}  // namespace fmvm::sim
