// SPDX-License-Identifier: Apache-2.0
// A guest that is nothing but RAM, a counter and a console: each step writes a few pages and now
// and then prints a line. Its state says what every page must hold, so whoever has both can tell
// whether they belong together.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "lockstep/backup/shadow.h"
#include "lockstep/wire/page_codec.h"
#include "sim/timeline.h"
#include "vmm/board/device.h"
#include "vmm/memory/page_set.h"

namespace fmvm::sim {

inline constexpr PageIndex toy_pages = 64;

class ToyRam : public lockstep::ShadowRam {
  public:
    std::uint64_t page_count() const override { return toy_pages; }
    std::span<std::uint8_t, page_size> page(PageIndex index) override {
        return std::span<std::uint8_t, page_size>(bytes_.data() + std::size_t{index} * page_size,
                                                  page_size);
    }

  private:
    std::vector<std::uint8_t> bytes_ = std::vector<std::uint8_t>(toy_pages * page_size);
};

class ToyGuest {
  public:
    // RAM and console outlive the guest. `ends_at`: steps until it powers off; 0: it never does.
    ToyGuest(ToyRam& ram, OutputSink& console, Rng& rng, std::uint64_t ends_at)
        : ram_(ram), console_(console), rng_(rng), ends_at_(ends_at) {}

    void step();
    bool ended() const { return ends_at_ != 0 && steps_ >= ends_at_; }
    std::uint64_t steps() const { return steps_; }
    std::uint64_t lines() const { return lines_; }

    std::vector<std::uint8_t> save() const;
    Result<void> restore(std::span<const std::uint8_t> state);
    // The first page that does not hold what the state says; none when all do.
    std::optional<PageIndex> first_wrong_page() const;
    // Pages written since the last call.
    PageSet take_dirty() { return std::exchange(dirty_, PageSet(toy_pages)); }

  private:
    void write_page(PageIndex page, std::uint64_t seed);

    ToyRam& ram_;
    OutputSink& console_;
    Rng& rng_;
    std::uint64_t ends_at_;
    std::uint64_t steps_ = 0;
    std::uint64_t lines_ = 0;
    std::uint64_t word_ = 1;                        // of all that was random so far
    std::array<std::uint64_t, toy_pages> seeds_{};  // of each page's content; 0: zeroes
    PageSet dirty_{toy_pages};
};

}  // namespace fmvm::sim
