// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/initial_copy.h"

#include "base/bytes.h"
#include "base/check.h"
#include "lockstep/checkpoint/dirty_marks.h"

namespace fmvm::lockstep {

namespace {

// Pages that are watched and copied at a time. They fit one body.
constexpr std::size_t batch_pages = 128;
static_assert(batch_pages * page_record_max + 64 <= frame_body_max);
// A round that leaves no more than this is the last: 8 MiB stand for a few milliseconds.
constexpr std::uint64_t rest_pages = 2048;
// A guest that writes faster than we send never gets there.
constexpr unsigned rounds_max = 6;

}  // namespace

InitialCopy::InitialCopy(CheckpointedMachine& machine, DirtyLog& log, PageStore& store,
                         const PageCompression& compression)
    : machine_(machine),
      memory_(machine.memory()),
      log_(log),
      store_(store),
      compression_(compression),
      round_pages_(memory_.page_count()),
      round_total_(memory_.page_count()),
      to_watch_(memory_.page_count()) {
    round_pages_.insert_all();
}

unsigned InitialCopy::percent() const {
    return done_ ? 100 : static_cast<unsigned>(round_done_ * 100 / round_total_);
}

Result<GatheredBody> InitialCopy::next() {
    Body body = begin_pages_body(1);
    const std::size_t header_size = body.size();
    while (!done_ && body.size() == header_size) {
        const std::vector<PageIndex> pages = next_batch();
        if (pages.empty()) {
            FMVM_TRY(finish_round());
        } else {
            FMVM_TRY(append(pages, body));
        }
    }
    if (body.size() == header_size) return GatheredBody{};
    return GatheredBody(std::move(body));
}

// The next few pages of the round, which are put into to_watch_ as well; none when it is over.
std::vector<PageIndex> InitialCopy::next_batch() {
    std::vector<PageIndex> pages;
    while (pages.size() < batch_pages) {
        next_page_ = round_pages_.next(next_page_);
        if (next_page_ == memory_.page_count()) break;
        const auto page = static_cast<PageIndex>(next_page_++);
        pages.push_back(page);
        to_watch_.insert(page);
    }
    return pages;
}

// First watched, then copied: what is written from now on is in the log.
Result<void> InitialCopy::append(const std::vector<PageIndex>& pages, Body& body) {
    FMVM_TRY(log_.watch(to_watch_));
    page_map_.forget();
    for (const PageIndex page : pages) {
        to_watch_.erase(page);
        ++round_done_;
        // The backup's RAM begins as zeroes.
        if (round_ == 0 && page_map_.is_untouched(memory_.page(page).data())) continue;
        copy_bytes(memory_.page(page), page_copy_.data());
        if (round_ == 0 && is_zero(page_copy_)) continue;
        append_page(body, page, page_copy_, nullptr, compression_);
    }
    return {};
}

// What was written while the round was sent is the next round, or the rest for the first cut.
Result<void> InitialCopy::finish_round() {
    FMVM_CHECK(round_done_ == round_total_);
    round_pages_.clear();
    {
        const QuiesceGuard guard(machine_);
        FMVM_TRY(log_.collect(round_pages_));
        take_dirty_marks(memory_, round_pages_);
    }
    const std::uint64_t left = round_pages_.size();
    store_.provide(left);
    // A round that hardly shrinks the rest is the guest's own speed: more of them would not help.
    const bool shrinks = left < round_total_ * 3 / 4;
    if (left <= rest_pages || !shrinks || ++round_ == rounds_max) {
        done_ = true;
        return {};
    }
    round_total_ = left;
    round_done_ = next_page_ = 0;
    return {};
}

void InitialCopy::take_rest(PageSet& pages) {
    FMVM_CHECK(done_);
    pages.merge(round_pages_);
    round_pages_ = {};
}

}  // namespace fmvm::lockstep
