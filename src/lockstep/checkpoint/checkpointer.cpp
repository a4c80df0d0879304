// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/checkpointer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/work_steps.h"
#include "lockstep/checkpoint/dirty_marks.h"

namespace fmvm::lockstep {

namespace {

using Clock = std::chrono::steady_clock;

// While so much (16 MiB) is sent and applied, output waits for tens of milliseconds whoever goes
// first.
constexpr std::uint64_t large_epoch_pages = 4096;

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

PageCompression initial_compression(const CheckpointerOptions& options) {
    PageCompression compression = options.compression;
    compression.lz4 &= options.lz4_pages_max == CheckpointerOptions::lz4_all;
    return compression;
}

PagePacker::Options packer_options(const CheckpointerOptions& options) {
    // Each hot page takes two slots: the copy sent last and the one just staged.
    const std::size_t hot_max = options.hot_pages ? options.store_bytes / page_size * 2 / 5 : 0;
    return {options.compression, options.lz4_pages_max, hot_max};
}

}  // namespace

Result<std::unique_ptr<Checkpointer>> Checkpointer::create(CheckpointedMachine& machine,
                                                           DirtyLog& log, ConsoleGate& console,
                                                           std::vector<EpochGate*> gates,
                                                           PrimaryDisks& disks,
                                                           const CheckpointerOptions& options,
                                                           PacketForwarder* packets) {
    std::shared_ptr<PageStore> store = FMVM_TRY(PageStore::create(options.store_bytes));
    return std::unique_ptr<Checkpointer>(new Checkpointer(
        machine, log, console, std::move(gates), disks, options, packets, std::move(store)));
}

Checkpointer::Checkpointer(CheckpointedMachine& machine, DirtyLog& log, ConsoleGate& console,
                           std::vector<EpochGate*> gates, PrimaryDisks& disks,
                           const CheckpointerOptions& options, PacketForwarder* packets,
                           std::shared_ptr<PageStore> store)
    : machine_(machine),
      log_(log),
      console_(console),
      gates_(std::move(gates)),
      disks_(disks),
      options_(options),
      packets_(packets),
      store_(std::move(store)),
      staged_(machine.memory(), store_) {}

Checkpointer::~Checkpointer() = default;

Checkpointer::Protection::Protection(CheckpointedMachine& machine, DirtyLog& log,
                                     const std::shared_ptr<PageStore>& store,
                                     const CheckpointerOptions& options)
    : initial(machine, log, *store, initial_compression(options)),
      packer(store, machine.memory().page_count(), packer_options(options)),
      dirty(machine.memory().page_count()),
      to_watch(machine.memory().page_count()) {}

Result<void> Checkpointer::begin() {
    FMVM_CHECK(!protection_ && !standing_ && staged_.empty());
    protection_ = std::make_unique<Protection>(machine_, log_, store_, options_);
    cut_ = {};
    digest_next_ = false;
    // Marks made until now are covered: everything is going to be sent.
    const QuiesceGuard guard(machine_);
    FMVM_TRY(log_.start());
    machine_.memory().take_dirty_marks();
    return disks_.begin();
}

std::string Checkpointer::initial_progress() const {
    FMVM_CHECK(protection_ != nullptr);
    if (!disks_.equal()) return disks_.progress();
    return fmt::format("copying memory to the backup: {:3} %", protection_->initial.percent());
}

bool Checkpointer::initial_done() const {
    return protection_ && protection_->initial.done() && disks_.may_cut();
}

// Disks first: they may take long, and memory that was copied before would have changed again.
Result<OutgoingMessage> Checkpointer::next_initial() {
    FMVM_CHECK(protection_ && cut_.epoch == 0);
    // Once disks are equal, pages and what the guest changes on its disks take turns: the guest may
    // change them as fast as the link takes it. What is left of that goes with the first cut.
    bool& pages_turn = protection_->pages_turn;
    if (!(std::exchange(pages_turn, false) && disks_.equal())) {
        OutgoingMessage message = FMVM_TRY(disks_.next_initial());
        pages_turn = !message.empty();
        if (pages_turn || !disks_.equal()) return message;
    }
    OutgoingMessage message{FrameType::pages, FMVM_TRY(protection_->initial.next())};
    return message.empty() ? disks_.rest_of_initial() : std::move(message);
}

Result<void> Checkpointer::cut(EpochId epoch, bool stay_stopped) {
    FMVM_CHECK(protection_ && !standing_);
    FMVM_CHECK(epoch == cut_.epoch + 1 && (epoch != 1 || initial_done()));
    FMVM_CHECK(staged_.empty());  // what was not packed would never reach the backup
    cut_.epoch = epoch;
    cut_.stays_stopped = stay_stopped;
    cut_.report = {};
    cut_.began = Clock::now();
    CutReport& report = cut_.report;
    Laps laps;
    standing_.emplace(machine_);
    report.stop = laps.lap();
    FMVM_TRY(take_dirty_set());
    report.dirty = laps.lap();
    stage_pages();
    report.copy = laps.lap();
    StateImage image = FMVM_TRY(machine_.save());
    cut_.state = image.encode();
    cut_.output = close_gates();
    disks_.close(epoch);
    cut_.rule_is_applied = false;
    report.state = laps.lap();
    digest_pages();
    report.digest = laps.lap();
    // Until the next cut: sending a large epoch must not take the guest's CPU.
    machine_.set_vcpus_first(report.pages_found > large_epoch_pages);
    if (!stay_stopped && staged_.fits()) run_guest();
    FMVM_CHECK(standing_.has_value() == (stay_stopped || !staged_.fits()));
    return {};
}

Result<void> Checkpointer::take_dirty_set() {
    PageSet& dirty = protection_->dirty;
    PageSet& to_watch = protection_->to_watch;
    dirty.clear();
    FMVM_TRY(log_.collect(dirty));
    dirty.for_each([&](PageIndex page) {
        if (!protection_->packer.logged(page, cut_.epoch)) return;
        to_watch.insert(page);
        ++cut_.report.pages_new;
    });
    FMVM_TRY(log_.watch(to_watch));
    to_watch.clear();
    take_dirty_marks(machine_.memory(), dirty);
    protection_->initial.take_rest(dirty);
    return {};
}

void Checkpointer::stage_pages() {
    const PageSet& dirty = protection_->dirty;
    const std::uint64_t found = dirty.size();
    cut_.report.pages_found = found;
    protection_->packer.begin_epoch();
    protection_->packer.make_room(dirty, found);
    staged_.stage(dirty, found);
}

// From the first cut on, output waits for its epoch's commit. Before it, nobody could contradict
// output.
ConsoleGate::EpochOutput Checkpointer::close_gates() {
    console_.hold();
    for (EpochGate* gate : gates_) {
        gate->hold();
        gate->close_epoch(cut_.epoch);
    }
    if (packets_ != nullptr) packets_->begin();
    return cut_.epoch == 1 ? console_.close_first_epoch() : console_.close_epoch();
}

void Checkpointer::digest_pages() {
    cut_.digests.clear();
    const bool due = options_.verify_every != 0 && cut_.epoch % options_.verify_every == 0;
    if (!std::exchange(digest_next_, false) && !due) return;
    const GuestMemory& memory = machine_.memory();
    cut_.digests.reserve(memory.page_count() + 1);
    const PageSet unsettled = machine_.unsettled_pages();
    for (PageIndex page = 0; page < memory.page_count(); ++page) {
        cut_.digests.push_back(unsettled.contains(page) ? DigestsMessage::not_compared
                                                        : digest_of(memory.page(page)));
        work_step();
    }
    cut_.digests.push_back(digest_of(cut_.state));
}

OutgoingMessage Checkpointer::next_message() {
    FMVM_CHECK(protection_ && cut_.epoch != 0);
    if (!std::exchange(cut_.rule_is_applied, true)) apply_reference_rule();
    GatheredBody pages = next_pages();
    if (!pages.empty()) return {FrameType::pages, std::move(pages)};
    return disks_.next_message(cut_.epoch);
}

void Checkpointer::apply_reference_rule() {
    disks_.apply_reference_rule(staged_);
    for (const PageIndex page : disks_.filled()) {
        // The turn of a page of the cut comes when it is packed.
        if (staged_.find(page) == nullptr) protection_->packer.filled_outside_cut(page);
    }
}

GatheredBody Checkpointer::next_pages() {
    if (staged_.empty()) return {};
    GatheredBody body = protection_->packer.next(cut_.epoch, staged_, disks_.filled());
    if (!staged_.has_next()) {
        staged_.finish();
        const std::uint64_t found = cut_.report.pages_found;
        store_->provide(found + found / 4);
        // Pages that did not fit were read from the standing guest. Now it may go on.
        if (!cut_.stays_stopped) run_guest();
    }
    return body;
}

const PageCounts& Checkpointer::counts() const {
    FMVM_CHECK(protection_ != nullptr);
    return protection_->packer.counts();
}

void Checkpointer::committed(EpochId epoch) {
    FMVM_CHECK(protection_ && epoch != 0 && epoch <= cut_.epoch);
    for (EpochGate* gate : gates_)
        gate->commit(epoch);
    disks_.committed(epoch);
}

std::vector<PacketMessage> Checkpointer::take_packets() {
    if (packets_ == nullptr) return {};
    if (standing_) packets_->pull();
    return packets_->collect();
}

// What a gate was letting go when it was asked first is with the disks when the device thread has
// taken the last requests; those may be held in their turn.
bool Checkpointer::finish_last_requests() {
    if (!disks_.any()) return true;
    if (holds_writes()) return false;
    if (!standing_) machine_.take_last_requests();
    return !holds_writes() && disks_.is_idle();
}

bool Checkpointer::holds_writes() const {
    return std::ranges::any_of(gates_, &EpochGate::holds_disk_requests);
}

std::optional<Clock::time_point> Checkpointer::waiting_since() const {
    std::optional<Clock::time_point> earliest;
    if (disks_.under_pressure()) earliest = Clock::time_point{};
    for (const EpochGate* gate : gates_) {
        const std::optional<Clock::time_point> since = gate->waiting_since();
        if (since && (!earliest || *since < *earliest)) earliest = since;
    }
    return earliest;
}

void Checkpointer::go_on() {
    cut_.stays_stopped = false;
    // Pages that did not fit are read from the standing guest, which goes on when they are sent.
    if (staged_.empty() || staged_.fits()) run_guest();
}

void Checkpointer::resume() {
    cut_.stays_stopped = false;
    run_guest();
}

void Checkpointer::run_guest() {
    if (!standing_) return;
    standing_.reset();
    cut_.report.stood = Clock::now() - cut_.began;
}

void Checkpointer::end() {
    const Result<void> stopped = log_.stop();
    if (!stopped.ok()) log::warning("primary", "{}", stopped.error().message());
    staged_.drop();
    protection_.reset();
    for (EpochGate* gate : gates_)
        gate->open();
    if (packets_ != nullptr) packets_->end();
    disks_.end();
    machine_.set_vcpus_first(false);
    resume();
    FMVM_CHECK(!protection_ && !standing_ && staged_.empty());
}

}  // namespace fmvm::lockstep
