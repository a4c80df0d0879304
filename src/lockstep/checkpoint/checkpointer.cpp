// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/checkpointer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/log.h"

namespace fmvm::lockstep {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t body_target = 512 * kib;
static_assert(body_target + page_record_max <= frame_body_max);

// Pages that the initial copy takes at a time: they fit one body.
constexpr std::size_t initial_chunk_pages = 128;
static_assert(initial_chunk_pages * page_record_max + 64 <= frame_body_max);
// A round of the initial copy that leaves no more than this is the last: 8 MiB stand for a few
// milliseconds. A guest that writes faster than we send never gets there; rounds are limited.
constexpr std::uint64_t initial_rest_pages = 2048;
constexpr unsigned initial_rounds_max = 6;
// While so much (16 MiB) is sent and applied, output waits for tens of milliseconds whoever goes
// first.
constexpr std::uint64_t large_epoch_pages = 4096;

// Copying is shared with a helper in pieces of so many pages, from so many pieces on (waking the
// helper takes as long as copying a few).
constexpr std::size_t copy_piece_pages = 128;
constexpr std::size_t shared_copy_pieces_min = 8;

// Neither nothing nor a difference: all of the page's content travels.
bool is_whole(PageEncoding encoding) {
    return encoding == PageEncoding::raw || encoding == PageEncoding::lz4;
}

// Time since the last lap.
class Laps {
  public:
    Clock::duration lap() {
        const Clock::time_point now = Clock::now();
        return now - std::exchange(last_, now);
    }

  private:
    Clock::time_point last_ = Clock::now();
};

}  // namespace

Result<std::unique_ptr<Checkpointer>> Checkpointer::create(CheckpointedMachine& machine,
                                                           DirtyLog& log, ConsoleGate& gate,
                                                           std::vector<WriteGate*> write_gates,
                                                           PrimaryDisks* disks,
                                                           const CheckpointerOptions& options) {
    std::shared_ptr<PageStore> store = FMVM_TRY(PageStore::create(options.store_bytes));
    return std::unique_ptr<Checkpointer>(new Checkpointer(
        machine, log, gate, std::move(write_gates), disks, options, std::move(store)));
}

Checkpointer::Checkpointer(CheckpointedMachine& machine, DirtyLog& log, ConsoleGate& gate,
                           std::vector<WriteGate*> write_gates, PrimaryDisks* disks,
                           const CheckpointerOptions& options, std::shared_ptr<PageStore> store)
    : machine_(machine),
      memory_(machine.memory()),
      log_(log),
      gate_(gate),
      write_gates_(std::move(write_gates)),
      disks_(disks),
      options_(options),
      store_(std::move(store)),
      to_send_(memory_.page_count()),
      dirty_(memory_.page_count()),
      pending_(memory_.page_count()),
      to_watch_(memory_.page_count()) {}

Checkpointer::~Checkpointer() = default;

// Without a backup there are none, and they take no memory.
void Checkpointer::forget_copies() {
    for (; next_staged_ < staged_.size(); ++next_staged_) {  // the others have been packed
        if (staged_[next_staged_].slot != PageStore::none) store_->free(staged_[next_staged_].slot);
    }
    staged_.clear();
    next_staged_ = 0;
    if (copies_) copies_->make_room(SIZE_MAX, [](PageIndex) { return false; });
    copies_.reset();
    hot_.reset();
}

Result<void> Checkpointer::begin() {
    forget_copies();
    copies_ = std::make_unique<SentCopies>(*store_, memory_.page_count());
    // Each hot page takes two slots: the copy sent last and the one just staged.
    const std::size_t hot_max = options_.hot_pages ? options_.store_bytes / page_size * 2 / 5 : 0;
    hot_ = std::make_unique<HotPages>(memory_.page_count(), hot_max);
    {
        // Marks made until now are covered: everything is going to be sent.
        const QuiesceGuard guard(machine_);
        FMVM_TRY(log_.start());
        memory_.take_dirty_marks();
        if (disks_ != nullptr) FMVM_TRY(disks_->begin());
    }
    to_send_.insert_all();
    pending_.clear();
    round_total_ = memory_.page_count();
    round_done_ = next_page_ = 0;
    round_ = 0;
    initial_done_ = false;
    digest_next_ = false;
    return {};
}

std::string Checkpointer::initial_progress() const {
    if (disks_ != nullptr && !disks_->equal()) return disks_->progress();
    const std::uint64_t share = initial_done_ ? 100 : round_done_ * 100 / round_total_;
    return fmt::format("copying memory to the backup: {:3} %", share);
}

bool Checkpointer::initial_done() const {
    return initial_done_ && (disks_ == nullptr || disks_->may_cut());
}

Result<void> Checkpointer::disk_message(const Frame& frame) {
    if (disks_ == nullptr) return Error("it sent a message about disks that it does not have");
    return disks_->message(frame);
}

// Disks first: they may take long, and memory that was copied before would have changed again.
Result<OutgoingMessage> Checkpointer::next_initial() {
    // In turns with what the guest changes on its disks, once those are equal: it may change them
    // as fast as the link takes it. What is left of that then goes with the first cut.
    if (disks_ != nullptr && !(std::exchange(pages_next_, false) && disks_->equal())) {
        OutgoingMessage piece = FMVM_TRY(disks_->next_initial());
        pages_next_ = !piece.empty();
        if (pages_next_ || !disks_->equal()) return piece;
    }
    if (!initial_done_) {
        OutgoingMessage piece{FrameType::pages, FMVM_TRY(next_initial_pages())};
        if (!piece.empty()) return piece;
    }
    return disks_ == nullptr ? OutgoingMessage{} : disks_->rest_of_initial();
}

Result<GatheredBody> Checkpointer::next_initial_pages() {
    Body body = begin_pages_body(1);
    const std::size_t header_size = body.size();
    while (body.size() == header_size) {
        const std::vector<PageIndex> pages = next_initial_chunk();
        if (pages.empty()) {
            FMVM_TRY(finish_initial_round());
            if (initial_done_) return GatheredBody{};
            continue;
        }
        // First watched, then copied: what is written from now on is in the log.
        FMVM_TRY(log_.watch(to_watch_));
        page_map_.forget();
        for (const PageIndex page : pages) {
            to_watch_.erase(page);
            ++round_done_;
            // The backup's RAM begins as zeroes.
            if (round_ == 0 && page_map_.is_untouched(memory_.page(page).data())) continue;
            copy_bytes(memory_.page(page), live_page_.data());
            if (round_ == 0 && is_zero(live_page_)) continue;
            PageCompression compression = options_.compression;
            compression.lz4 &= options_.lz4_pages_max == CheckpointerOptions::lz4_all;
            append_page(body, page, live_page_, nullptr, compression);
        }
    }
    return GatheredBody(std::move(body));
}

// The next few pages of the round, put into to_watch_ as well; none when the round is over.
std::vector<PageIndex> Checkpointer::next_initial_chunk() {
    std::vector<PageIndex> pages;
    while (next_page_ < memory_.page_count() && pages.size() < initial_chunk_pages) {
        const auto page = static_cast<PageIndex>(next_page_++);
        if (!to_send_.contains(page)) continue;
        pages.push_back(page);
        to_watch_.insert(page);
    }
    return pages;
}

// What was written while the round was sent is the next round, or the rest that the first cut
// takes.
Result<void> Checkpointer::finish_initial_round() {
    to_send_.clear();
    {
        const QuiesceGuard guard(machine_);
        FMVM_TRY(log_.collect(to_send_));
        add_marks(to_send_);
    }
    const std::uint64_t left = to_send_.size();
    store_->provide(left);
    // A round that hardly shrinks the rest is the guest's own speed: more of them would not help.
    const bool shrinks = left < round_total_ * 3 / 4;
    if (left <= initial_rest_pages || !shrinks || ++round_ == initial_rounds_max) {
        initial_done_ = true;
        pending_.merge(to_send_);
        return {};
    }
    round_total_ = left;
    round_done_ = next_page_ = 0;
    return {};
}

// Pages that the VMM itself wrote.
void Checkpointer::add_marks(PageSet& pages) {
    const std::vector<std::uint64_t> marks = memory_.take_dirty_marks();
    for (std::size_t i = 0; i < marks.size(); ++i)
        pages.words()[i] |= marks[i];
}

Result<void> Checkpointer::cut(EpochId epoch, bool stay_stopped) {
    epoch_ = epoch;
    stay_stopped_ = stay_stopped;
    report_ = {};
    counts_ = {};
    lz4_left_ = options_.lz4_pages_max;
    cut_began_ = Clock::now();
    Laps laps;
    standing_ = std::make_unique<QuiesceGuard>(machine_);
    report_.stop = laps.lap();
    FMVM_TRY(take_dirty_set());
    report_.dirty = laps.lap();
    copy_pages();
    report_.copy = laps.lap();
    StateImage image = FMVM_TRY(machine_.save());
    state_ = image.encode();
    output_ = close_gates();
    if (disks_ != nullptr) disks_->close(epoch);
    decided_ = false;
    report_.state = laps.lap();
    digest_pages();
    report_.digest = laps.lap();
    // Until the next cut: sending a large epoch must not take the guest's CPU.
    machine_.set_vcpus_first(report_.pages_found > large_epoch_pages);
    if (!stay_stopped && fits_) resume();
    return {};
}

Result<void> Checkpointer::take_dirty_set() {
    dirty_.clear();
    FMVM_TRY(log_.collect(dirty_));
    dirty_.for_each([this](PageIndex page) {
        if (!hot_->logged(page, epoch_)) return;
        to_watch_.insert(page);
        ++report_.pages_new;
    });
    FMVM_TRY(log_.watch(to_watch_));
    to_watch_.clear();
    add_marks(dirty_);
    dirty_.merge(pending_);
    pending_.clear();
    return {};
}

void Checkpointer::copy_pages() {
    staged_.clear();
    next_staged_ = 0;
    fits_ = true;
    const std::uint64_t found = dirty_.size();
    report_.pages_found = found;
    copies_->make_room(found, [this](PageIndex page) { return dirty_.contains(page); });
    staged_.reserve(found);
    dirty_.for_each([this](PageIndex page) {
        const PageStore::Slot slot = store_->allocate();
        staged_.push_back({page, slot});
        if (slot == PageStore::none) fits_ = false;
    });
    const std::size_t pieces = (found + copy_piece_pages - 1) / copy_piece_pages;
    const auto copy = [this](std::size_t piece) { copy_piece(piece); };
    if (pieces > shared_copy_pieces_min) {
        copy_work_.run(pieces, copy);
    } else {
        for (std::size_t piece = 0; piece < pieces; ++piece)
            copy(piece);
    }
}

// This thread or its helper.
void Checkpointer::copy_piece(std::size_t piece) {
    const CopyBytes copy = copy_for(staged_.size() * page_size);
    const std::size_t end = std::min(staged_.size(), (piece + 1) * copy_piece_pages);
    for (std::size_t i = piece * copy_piece_pages; i < end; ++i) {
        if (staged_[i].slot == PageStore::none) continue;
        copy(memory_.page(staged_[i].page), store_->bytes(staged_[i].slot).data());
    }
}

// From the first cut on, output waits for its epoch's commit; before it, nobody could contradict
// it.
ConsoleGate::EpochOutput Checkpointer::close_gates() {
    gate_.hold();
    for (WriteGate* gate : write_gates_) {
        gate->hold();
        gate->close_epoch(epoch_);
    }
    return epoch_ == 1 ? gate_.close_first_epoch() : gate_.close_epoch();
}

void Checkpointer::committed(EpochId epoch) {
    for (WriteGate* gate : write_gates_)
        gate->commit(epoch);
    if (disks_ != nullptr) disks_->committed(epoch);
}

// What a gate was letting go when it was asked first is with the disks when the device thread has
// taken the last requests; those may be held in their turn.
bool Checkpointer::settle() {
    if (disks_ == nullptr) return true;
    if (holds_writes()) return false;
    if (!standing_) machine_.take_last_requests();
    return !holds_writes() && disks_->settled();
}

bool Checkpointer::holds_writes() const {
    return std::ranges::any_of(write_gates_, &WriteGate::holds_any);
}

std::optional<Clock::time_point> Checkpointer::waiting_since() const {
    std::optional<Clock::time_point> earliest;
    if (disks_ != nullptr && disks_->under_pressure()) earliest = Clock::time_point{};
    for (const WriteGate* gate : write_gates_) {
        const std::optional<Clock::time_point> since = gate->waiting_since();
        if (since && (!earliest || *since < *earliest)) earliest = since;
    }
    return earliest;
}

void Checkpointer::digest_pages() {
    digests_.clear();
    const bool due = options_.verify_every != 0 && epoch_ % options_.verify_every == 0;
    if (!std::exchange(digest_next_, false) && !due) return;
    digests_.reserve(memory_.page_count() + 1);
    const PageSet unsettled = machine_.unsettled_pages();
    for (PageIndex page = 0; page < memory_.page_count(); ++page)
        digests_.push_back(unsettled.contains(page) ? DigestsMessage::not_compared
                                                    : digest_of(memory_.page(page)));
    digests_.push_back(digest_of(state_));
}

OutgoingMessage Checkpointer::next_piece() {
    if (disks_ != nullptr && !std::exchange(decided_, true)) decide();
    GatheredBody pages = next_pages();
    if (!pages.empty() || disks_ == nullptr) return {FrameType::pages, std::move(pages)};
    return disks_->next_piece(epoch_);
}

void Checkpointer::decide() {
    disks_->decide(*this);
    for (const PageIndex page : disks_->filled()) {
        if (find(page) != nullptr) continue;  // its turn comes when it is packed
        copies_->drop(page);
        ++counts_.filled;
    }
}

// A page of the last cut, as the reference rule asks for it.
const std::uint8_t* Checkpointer::find(PageIndex page) const {
    const auto staged = std::ranges::lower_bound(staged_, page, {}, &Staged::page);
    if (staged == staged_.end() || staged->page != page) return nullptr;
    return staged->slot == PageStore::none ? memory_.page(page).data()
                                           : store_->bytes(staged->slot).data();
}

GatheredBody Checkpointer::next_pages() {
    GatheredBody body(begin_pages_body(epoch_));
    const auto lease = std::make_shared<SlotLease>(store_);
    const std::size_t header_size = body.size();
    while (next_staged_ < staged_.size() && body.size() < body_target)
        pack(staged_[next_staged_++], body, *lease);
    if (body.refers()) body.keep(lease);
    if (next_staged_ == staged_.size()) {
        staged_.clear();
        next_staged_ = 0;
        store_->provide(report_.pages_found + report_.pages_found / 4);
        // Pages that did not fit were read from the standing guest; now it may go on.
        if (!std::exchange(fits_, true) && !stay_stopped_) resume();
    }
    if (body.size() == header_size) return {};
    return body;
}

void Checkpointer::pack(const Staged& staged, GatheredBody& body, SlotLease& lease) {
    const bool in_store = staged.slot != PageStore::none;
    const PageBytes now =
        in_store ? PageBytes(store_->bytes(staged.slot)) : PageBytes(memory_.page(staged.page));
    if (disks_ != nullptr && std::ranges::binary_search(disks_->filled(), staged.page)) {
        ++counts_.filled;
        hot_->compared(staged.page, HotPages::Change::none);  // a read costs the guest no fault
        keep_copy(staged);
        return;
    }
    const bool unseen = hot_->take_unseen(staged.page);  // if so, there is no copy of it
    const PageStore::Slot before_slot = copies_->find(staged.page);
    const std::uint8_t* before =
        before_slot == PageStore::none ? nullptr : store_->bytes(before_slot).data();
    if (before != nullptr && std::memcmp(before, now.data(), page_size) == 0) {
        ++counts_.unchanged;
        hot_->compared(staged.page, HotPages::Change::none);
        if (in_store) store_->free(staged.slot);
        return;
    }
    const PageEncoding encoding = append(staged, now, before, body, lease);
    count(encoding);
    if (!unseen) {
        const bool rewritten = before != nullptr && is_whole(encoding);
        hot_->compared(staged.page,
                       rewritten ? HotPages::Change::rewritten : HotPages::Change::some);
    }
    keep_copy(staged);
}

// What the backup has of this page from now on.
void Checkpointer::keep_copy(const Staged& staged) {
    const bool in_store = staged.slot != PageStore::none;
    if (in_store && hot_->is_warm(staged.page)) {
        copies_->keep(staged.page, staged.slot);
    } else {
        copies_->drop(staged.page);
        if (in_store) store_->free(staged.slot);
    }
}

PageEncoding Checkpointer::append(const Staged& staged, PageBytes now, const std::uint8_t* before,
                                  GatheredBody& body, SlotLease& lease) {
    PageCompression compression = options_.compression;
    compression.lz4 &= lz4_left_ != 0;
    // The guest will go on and change what did not fit into the store.
    const bool in_place = staged.slot != PageStore::none;
    const PageEncoding encoding =
        in_place ? append_page_in_place(body, staged.page, now, before, compression)
                 : append_page(body.own(), staged.page, now, before, compression);
    if (in_place && encoding == PageEncoding::raw) lease.add(staged.slot);
    if (is_whole(encoding) && lz4_left_ != 0) --lz4_left_;  // it was tried
    return encoding;
}

void Checkpointer::count(PageEncoding encoding) {
    ++counts_.records;
    if (encoding == PageEncoding::zero) ++counts_.zero;
    if (encoding == PageEncoding::delta) ++counts_.delta;
    if (encoding == PageEncoding::lz4) ++counts_.lz4;
}

void Checkpointer::resume() {
    stay_stopped_ = false;
    if (!standing_) return;
    standing_.reset();
    report_.stood = Clock::now() - cut_began_;
}

void Checkpointer::end() {
    const Result<void> stopped = log_.stop();
    if (!stopped.ok()) log::warning("primary", "{}", stopped.error().message());
    forget_copies();
    for (WriteGate* gate : write_gates_)
        gate->open();
    if (disks_ != nullptr) disks_->end();
    machine_.set_vcpus_first(false);
    resume();
}

}  // namespace fmvm::lockstep
