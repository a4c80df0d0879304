// SPDX-License-Identifier: Apache-2.0
#include "replay/image/dirty_block_map.h"

#include <algorithm>
#include <utility>

#include "base/random.h"

namespace fmvm::replay {

namespace {

BlockIndex region_of(BlockIndex block) {
    return block / blocks_per_region;
}

void set(std::span<std::uint64_t> words, BlockIndex index) {
    words[index / 64] |= std::uint64_t{1} << (index % 64);
}

void reset(std::span<std::uint64_t> words, BlockIndex index) {
    words[index / 64] &= ~(std::uint64_t{1} << (index % 64));
}

// The blocks of a change of at least one byte.
BlockRun run_of(std::uint64_t offset, std::uint64_t length) {
    return {offset / disk_block_bytes, (offset + length - 1) / disk_block_bytes + 1};
}

// Those that meet made one; `ascending` may overlap.
BlockRuns merged(const auto& ascending) {
    BlockRuns result;
    for (const BlockRun& run : ascending) {
        if (!result.empty() && run.first <= result.back().end)
            result.back().end = std::max(result.back().end, run.end);
        else
            result.push_back(run);
    }
    return result;
}

BlockSet to_set(std::span<const std::uint64_t> words, std::uint64_t bound) {
    BlockSet result(bound);
    std::copy_n(words.begin(), result.words().size(), result.words().begin());
    result.trim();
    return result;
}

void trim_words(std::span<std::uint64_t> words, std::uint64_t bound) {
    std::ranges::fill(words.subspan(bound / 64 + 1), 0);
    words[bound / 64] &= (std::uint64_t{1} << (bound % 64)) - 1;
}

std::uint64_t region_count(std::uint64_t image_bytes) {
    return region_of(disk_block_count(image_bytes) - 1) + 1;
}

// The blocks of a region are one word of the map.
static_assert(blocks_per_region == 64);

}  // namespace

Result<std::unique_ptr<DirtyBlockMap>> DirtyBlockMap::open(const std::string& path,
                                                           const DiskLabel& fresh,
                                                           std::string& why) {
    why.clear();
    const FoundLabel found = FMVM_TRY(find_label(path));
    DiskLabel label = fresh;
    label.pair = label.offered = {};
    label.boot = this_boot();
    label.origin = random_value<LabelId>();
    if (found.state == LabelState::whole && found.label.image_bytes == fresh.image_bytes) {
        auto map = std::make_unique<DirtyBlockMap>(FMVM_TRY(LabelFile::open(path)));
        FMVM_TRY(map->load());
        return map;
    }
    if (found.state == LabelState::absent) {
        label.role = DiskRole::clean;
    } else if (found.state == LabelState::damaged) {
        label.role = DiskRole::syncing;
        why = fmt::format("disk label {} is damaged: all of the disk counts as changed", path);
    } else {
        label.vm = found.label.vm;
        label.disk = found.label.disk;
        label.disks = found.label.disks;
        label.generation = found.label.generation;
        label.origin = found.label.origin;
        label.role = found.label.role;
        why = fmt::format(
            "disk label {} is of a disk of {} bytes, which now has {}: all of it counts as changed",
            path, found.label.image_bytes, fresh.image_bytes);
    }
    return std::make_unique<DirtyBlockMap>(FMVM_TRY(LabelFile::create(path, label)));
}

Result<std::unique_ptr<DirtyBlockMap>> DirtyBlockMap::unsaved(const DiskLabel& fresh) {
    return std::make_unique<DirtyBlockMap>(FMVM_TRY(LabelFile::unsaved(fresh)));
}

DirtyBlockMap::DirtyBlockMap(LabelFile file)
    : image_bytes_(file.label().image_bytes),
      block_count_(disk_block_count(image_bytes_)),
      file_(std::move(file)),
      active_(to_set(file_.regions(), region_count(image_bytes_))),
      prunable_(active_.bound()),
      recent_(active_.bound()),
      touched_(block_count_),
      failed_(block_count_) {
    trim();
}

// A label file is made with all bits set, and a hostile one may have any.
void DirtyBlockMap::trim() {
    trim_words(file_.regions(), active_.bound());
    trim_words(file_.blocks(), block_count_);
}

// A process before this one may have left bits that are not durable yet, or the host was started
// again since: then what the bits said at the end is not known, only which regions they were in.
Result<void> DirtyBlockMap::load() {
    const Lock lock(mutex_);
    DiskLabel label = file_.label();
    const LabelId boot = this_boot();
    if (boot == LabelId{} || label.boot != boot) {
        const std::span<std::uint64_t> words = file_.blocks();
        active_.for_each([&](BlockIndex region) { words[region] = ~std::uint64_t{0}; });
        trim();
        file_.progress().lose_steps(label.pair);
        label.boot = boot;
    }
    return file_.write(label);
}

DiskLabel DirtyBlockMap::label() const {
    const Lock lock(mutex_);
    return file_.label();
}

Result<void> DirtyBlockMap::set_label(const DiskLabel& label) {
    const Lock lock(mutex_);
    DiskLabel changed = label;
    changed.image_bytes = image_bytes_;
    changed.boot = file_.label().boot;
    const bool joins = changed.pair != file_.label().pair;
    FMVM_TRY(file_.write(changed));
    if (!joins) return {};
    file_.progress().begin(changed.pair);
    advances_serial_ = true;
    return {};
}

Result<void> DirtyBlockMap::break_lineage(DiskRole role) {
    BlockSet all(block_count_);
    all.insert_all();
    FMVM_TRY(add(all));
    DiskLabel changed = label();
    changed.pair = random_value<LabelId>();
    changed.offered = {};
    changed.role = role;
    return set_label(changed);
}

Result<void> DirtyBlockMap::begin_anew() {
    FMVM_TRY(break_lineage(DiskRole::clean));
    DiskLabel changed = label();
    changed.origin = random_value<LabelId>();
    return set_label(changed);
}

BlockSet DirtyBlockMap::dirty() const {
    const Lock lock(mutex_);
    return to_set(file_.blocks(), block_count_);
}

PairProgress DirtyBlockMap::progress(const LabelId& pair) const {
    const Lock lock(mutex_);
    return file_.progress().under(pair);
}

void DirtyBlockMap::count_sent() {
    const Lock lock(mutex_);
    file_.progress().count_sent();
}

void DirtyBlockMap::count_heard() {
    const Lock lock(mutex_);
    file_.progress().count_heard();
}

std::uint64_t DirtyBlockMap::serial() const {
    const Lock lock(mutex_);
    return file_.progress().serial();
}

void DirtyBlockMap::hear_serial(std::uint64_t serial) {
    const Lock lock(mutex_);
    file_.progress().hear_serial(serial);
}

Result<void> DirtyBlockMap::mark(std::uint64_t offset, std::uint64_t length) {
    FMVM_CHECK(range_fits(offset, length, image_bytes_));
    if (length == 0) return {};
    const BlockRun run = run_of(offset, length);
    const Lock lock(mutex_);
    FMVM_TRY(activate(region_of(run.first), region_of(run.end - 1)));
    for_each_word(run.first, run.end,
                  [words = file_.blocks()](auto i, auto bits) { words[i] |= bits; });
    touch(run);
    in_flight_.insert(run);
    return {};
}

// Regions `first` to `last`, before a bit in them is set. Not prunable any more: what is written
// there now was not synced.
Result<void> DirtyBlockMap::activate(BlockIndex first, BlockIndex last) {
    bool changed = false;
    for (BlockIndex region = first; region <= last; ++region) {
        prunable_.erase(region);
        recent_.insert(region);
        changed = changed || !active_.contains(region);
        set(file_.regions(), region);
    }
    if (!changed) return {};
    if (advances_serial_) file_.progress().advance_serial();
    FMVM_TRY(file_.sync());
    for (BlockIndex region = first; region <= last; ++region)
        active_.insert(region);
    return {};
}

void DirtyBlockMap::touch(BlockRun run) {
    while (true) {
        const BlockIndex first = touched_.next_absent(run.first);
        if (first >= run.end) break;
        const BlockIndex end = std::min(run.end, touched_.next(first));
        touched_runs_.push_back({first, end});
        run.first = end;
        touched_.insert_range(first, end);
    }
}

void DirtyBlockMap::end_change(std::uint64_t offset, std::uint64_t length, bool failed) {
    if (length == 0) return;
    const BlockRun run = run_of(offset, length);
    const Lock lock(mutex_);
    const auto change = in_flight_.find(run);
    FMVM_CHECK(change != in_flight_.end());
    in_flight_.erase(change);
    if (failed) failed_.insert_range(run.first, run.end);
}

Result<void> DirtyBlockMap::flush_failed() {
    BlockSet all(block_count_);
    all.insert_all();
    {
        const Lock lock(mutex_);
        failed_ = all;
    }
    return add(all);
}

Result<void> DirtyBlockMap::add(const BlockSet& blocks) {
    const Lock lock(mutex_);
    const std::span<std::uint64_t> words = file_.blocks();
    for (std::size_t i = 0; i < blocks.words().size(); ++i) {
        if (blocks.words()[i] == 0) continue;
        set(file_.regions(), i);
        prunable_.erase(i);
        words[i] |= blocks.words()[i];
    }
    if (advances_serial_) file_.progress().advance_serial();
    FMVM_TRY(file_.sync());
    active_.merge(to_set(file_.regions(), active_.bound()));
    return {};
}

BlockRuns DirtyBlockMap::take_touched() {
    const Lock lock(mutex_);
    std::ranges::sort(touched_runs_);
    const BlockRuns touched = merged(touched_runs_);
    BlockRuns taken = without(touched, merged(in_flight_));
    touched_runs_ = without(touched, taken);
    for (const BlockRun& run : taken)
        touched_.erase_range(run.first, run.end);
    return taken;
}

void DirtyBlockMap::clear(const BlockRuns& blocks) {
    const Lock lock(mutex_);
    const auto forget = [words = file_.blocks(), touched = std::as_const(touched_).words(),
                         failed = std::as_const(failed_).words()](auto i, auto bits) {
        words[i] &= ~(bits & ~touched[i] & ~failed[i]);
    };
    for (const BlockRun& run : blocks)
        for_each_word(run.first, run.end, forget);
}

void DirtyBlockMap::resynced(BlockIndex block) {
    const Lock lock(mutex_);
    if (touched_.contains(block)) return;
    failed_.erase(block);
    reset(file_.blocks(), block);
}

void DirtyBlockMap::resynced(const BlockSet& equal) {
    const Lock lock(mutex_);
    const std::span<std::uint64_t> blocks = file_.blocks();
    for (std::size_t i = 0; i < equal.words().size(); ++i) {
        const std::uint64_t gone = equal.words()[i] & ~std::as_const(touched_).words()[i];
        blocks[i] &= ~gone;
        failed_.words()[i] &= ~gone;
    }
}

bool DirtyBlockMap::is_touched(BlockIndex block) const {
    const Lock lock(mutex_);
    return touched_.contains(block);
}

BlockSet DirtyBlockMap::touched() const {
    const Lock lock(mutex_);
    return touched_;
}

std::optional<DirtyBlockMap::PruneId> DirtyBlockMap::begin_prune(Prune which) {
    const Lock lock(mutex_);
    if (which == Prune::idle && pruning_) return std::nullopt;
    prunable_.clear();
    prunable_.merge(active_);
    for (BlockIndex region = 0; region < prunable_.bound(); ++region) {
        if (file_.blocks()[region] != 0) prunable_.erase(region);
    }
    if (which == Prune::idle) {
        prunable_.subtract(recent_);
        recent_.clear();
    }
    pruning_ = prunable_.size() != 0;
    if (!pruning_) return std::nullopt;
    return ++last_prune_;
}

// A region that the host forgets to be inactive does no harm: it counts as dirty.
void DirtyBlockMap::end_prune(PruneId prune, bool synced) {
    const Lock lock(mutex_);
    if (!pruning_ || prune != last_prune_) return;
    pruning_ = false;
    // What was heard of the other side is durable before this side forgets a region for good.
    if (!synced || !file_.sync().ok()) prunable_.clear();
    prunable_.for_each([regions = file_.regions()](BlockIndex region) { reset(regions, region); });
    active_.subtract(prunable_);
    prunable_.clear();
}

}  // namespace fmvm::replay
