// SPDX-License-Identifier: Apache-2.0
#include "sim/toy_source.h"

#include <utility>

#include "base/digest.h"

namespace fmvm::sim {

using lockstep::Body;

namespace {

constexpr unsigned rounds_max = 3;
constexpr std::uint64_t rest_pages = 4;
constexpr unsigned pages_per_body = 8;
constexpr lockstep::EpochId verify_every = 4;
constexpr Duration work_per_body = 30us;
constexpr Duration work_per_cut = 100us;

}  // namespace

Result<void> ToySource::begin() {
    if (stands_) return Error("begun while the guest stands");
    to_send_.insert_all();
    guest_.take_dirty();
    round_ = 0;
    initial_done_ = false;
    staged_.clear();
    sent_.clear();
    return {};
}

Result<lockstep::OutgoingMessage> ToySource::next_initial() {
    process_.spend(work_per_body);
    Body body = lockstep::begin_pages_body(1);
    unsigned taken = 0;
    for (PageIndex page = 0; page < toy_pages && taken < pages_per_body; ++page) {
        if (!to_send_.contains(page)) continue;
        to_send_.erase(page);
        ++taken;
        lockstep::append_page(body, page, ram_.page(page), nullptr, {true, page % 2 == 0});
    }
    if (taken != 0) return lockstep::OutgoingMessage{lockstep::FrameType::pages, std::move(body)};
    to_send_ = guest_.take_dirty();
    if (to_send_.size() > rest_pages && ++round_ < rounds_max) return next_initial();
    initial_done_ = true;
    return lockstep::OutgoingMessage{};
}

Result<void> ToySource::cut(lockstep::EpochId epoch, bool stay_stopped) {
    process_.spend(work_per_cut);
    epoch_ = epoch;
    counts_ = {};
    stands_ = stay_stopped;
    PageSet dirty = guest_.take_dirty();
    dirty.merge(to_send_);
    to_send_.clear();
    dirty.for_each([this](PageIndex page) {
        const auto bytes = ram_.page(page);
        staged_[page] = Page(bytes.begin(), bytes.end());
    });
    state_ = guest_.save();
    gate_.hold();
    output_ = epoch == 1 ? gate_.close_first_epoch() : gate_.close_epoch();
    digests_.clear();
    if (!std::exchange(digest_next_, false) && epoch % verify_every != 0) return {};
    for (PageIndex page = 0; page < toy_pages; ++page)
        digests_.push_back(digest_of(ram_.page(page)));
    digests_.push_back(digest_of(state_));
    return {};
}

lockstep::OutgoingMessage ToySource::next_message() {
    process_.spend(work_per_body);
    Body body = lockstep::begin_pages_body(epoch_);
    const std::size_t empty = body.size();
    for (unsigned taken = 0; !staged_.empty() && taken < pages_per_body;) {
        auto staged = staged_.extract(staged_.begin());
        const PageIndex page = staged.key();
        const lockstep::PageBytes now(staged.mapped().data(), page_size);
        const auto before = sent_.find(page);
        if (before != sent_.end() && before->second == staged.mapped()) {
            ++counts_.unchanged;
            continue;
        }
        lockstep::append_page(body, page, now,
                              before == sent_.end() ? nullptr : before->second.data(),
                              {true, page % 2 == 0});
        ++taken;
        ++counts_.records;
        sent_[page] = std::move(staged.mapped());
    }
    if (body.size() == empty) return {};
    return {lockstep::FrameType::pages, std::move(body)};
}

}  // namespace fmvm::sim
