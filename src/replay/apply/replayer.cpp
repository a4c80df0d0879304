// SPDX-License-Identifier: Apache-2.0
#include "replay/apply/replayer.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/buffer.h"
#include "base/crash_point.h"
#include "base/digest.h"
#include "base/work_steps.h"
#include "replay/apply/disk_flush.h"

namespace fmvm::replay {

namespace {

constexpr std::chrono::milliseconds look_every{100};
// While several disks are at work, only one of which can be waited for.
constexpr std::chrono::milliseconds look_every_of_several{1};

// Enough for a disk to work on; each record is compared with all that are in flight.
constexpr std::size_t in_flight_max = 64;
// A disk that writes zeroes byte by byte takes its time: in small pieces it shows that it works.
constexpr std::uint64_t zeroes_at_a_time = 16 * mib;
constexpr std::uint64_t zeroes_in_flight_max = 4 * zeroes_at_a_time;

bool share_memory(const Segments& some, const Segments& others) {
    return std::ranges::any_of(some, [&others](const Segment& one) {
        return std::ranges::any_of(others, [&one](const Segment& other) {
            return ranges_overlap(one.address.value(), one.length, other.address.value(),
                                  other.length);
        });
    });
}

std::uint64_t digest_of_pieces(const Buffers& buffers) {
    Digest digest;
    for (const iovec& buffer : buffers)
        digest.add({static_cast<const std::uint8_t*>(buffer.iov_base), buffer.iov_len});
    return digest.value();
}

// As a read's digest is defined: over the digests of its pages.
std::uint64_t digest_of_pages(const Buffers& buffers) {
    ByteWriter digests;
    for (const iovec& buffer : buffers) {
        const std::span bytes(static_cast<const std::uint8_t*>(buffer.iov_base), buffer.iov_len);
        for (std::size_t at = 0; at < bytes.size(); at += page_size)
            digests.u64(digest_of(bytes.subspan(at, std::min(page_size, bytes.size() - at))));
    }
    return digest_of(digests.bytes());
}

}  // namespace

struct Replayer::Parts : BlockOperationOwner {
    struct Operation : BlockOperation {
        std::size_t disk = 0;
        std::uint64_t sequence = 0;
        std::uint64_t digest = 0;
        Buffer bytes;  // of a read that goes nowhere
    };

    Parts(GuestMemory* guest_memory, std::vector<BlockBackend*> backends,
          std::chrono::milliseconds limit)
        : memory(guest_memory), disks(std::move(backends)), answer_limit(limit) {
        for (const BlockBackend* disk : disks)
            limits.push_back({disk->capacity(), disk->block_size(), disk->read_only()});
        flushes.resize(disks.size());
    }

    Result<void> carry_out(const BlockRecord& record);
    Result<void> carry_out(Operation& operation);
    void wait_for_room(const Operation& next);
    std::uint64_t zeroes_in_flight() const;
    void wait_for_conflicts(const Operation& next);
    bool conflicts(const Operation& next, const Operation& earlier) const;
    Operation& allocate();
    void fill(Operation& operation, const BlockRecord& record);
    Result<void> verify_write(const Operation& operation);
    void submit(Operation& operation);
    void ask_for_flushes(std::span<const BlockRecord> records);
    void ask_for_flush(std::size_t disk);
    void submit_flush(std::size_t disk);
    void poll_disks();
    void wait_for(BlockBackend& disk);
    void wait_for_data();
    void wait_all();
    void give_up();
    static Error failure_of(const Operation& operation, const char* what);
    void fail(const Operation& operation, const char* what);
    void complete(BlockOperation& completed, BlockStatus status) override;
    Result<void> outcome() const { return failure ? Result<void>(*failure) : Result<void>(); }

    GuestMemory* const memory;
    const std::vector<BlockBackend*> disks;
    std::vector<DiskLimits> limits;
    const std::chrono::milliseconds answer_limit;
    std::vector<std::unique_ptr<Operation>> pool;
    std::vector<Operation*> unused;
    std::vector<Operation*> in_flight;
    std::uint64_t completions = 0;
    std::vector<DiskFlush> flushes;  // of each disk
    std::optional<Error> failure;
    bool hung = false;       // a disk did not answer; nobody waits for it again
    bool only_slow = false;  // the failure is that flushes were not done in time
};

Replayer::Replayer(GuestMemory* memory, std::vector<BlockBackend*> disks,
                   std::chrono::milliseconds answer_limit)
    : parts_(std::make_unique<Parts>(memory, std::move(disks), answer_limit)) {}

Replayer::~Replayer() {
    parts_->wait_all();
}

Result<void> Replayer::check(const BlockRecord& record) const {
    return check_record(record, parts_->limits, parts_->memory);
}

Result<void> Replayer::replay(std::span<const BlockRecord> records) {
    parts_->poll_disks();
    for (const BlockRecord& record : records) {
        if (parts_->failure) break;
        const Result<void> done = parts_->carry_out(record);
        crash_point("mid-replay");
        if (!done.ok() && !parts_->failure) parts_->failure = done.error();
    }
    // Payloads are the caller's: nothing may use them any more when this returns.
    parts_->wait_for_data();
    parts_->ask_for_flushes(records);
    return parts_->outcome();
}

Result<void> Replayer::sync() {
    parts_->wait_all();
    for (std::size_t disk = 0; disk < parts_->disks.size(); ++disk)
        parts_->ask_for_flush(disk);
    parts_->wait_all();
    return parts_->outcome();
}

Result<void> Replayer::poll() {
    parts_->poll_disks();
    return parts_->outcome();
}

Result<void> Replayer::poll_in_time() {
    parts_->poll_disks();
    const auto now = std::chrono::steady_clock::now();
    if (std::ranges::any_of(parts_->flushes, [&](const DiskFlush& flush) {
            return flush.is_overdue(now, parts_->answer_limit);
        })) {
        parts_->give_up();
    }
    return parts_->outcome();
}

bool Replayer::is_idle() const {
    return parts_->in_flight.empty();
}

bool Replayer::gave_up_on_flush() const {
    return parts_->only_slow;
}

Result<void> Replayer::wait_all() {
    parts_->wait_all();
    return parts_->outcome();
}

Replayer::Parts::Operation& Replayer::Parts::allocate() {
    if (unused.empty()) {
        pool.push_back(std::make_unique<Operation>());
        unused.push_back(pool.back().get());
    }
    Operation& operation = *unused.back();
    unused.pop_back();
    operation.buffers.clear();
    operation.segments.clear();
    operation.owner = this;
    return operation;
}

Result<void> Replayer::Parts::carry_out(const BlockRecord& record) {
    if (record.op == BlockOp::flush || record.failed) return {};
    const bool zeroes = record.op == BlockOp::discard || record.op == BlockOp::write_zeroes;
    const std::uint64_t piece = zeroes ? zeroes_at_a_time : record.length;
    for (std::uint64_t done = 0; done < record.length; done += piece) {
        Operation& operation = allocate();
        fill(operation, record);
        operation.offset += done;
        operation.length = std::min(piece, record.length - done);
        FMVM_TRY(carry_out(operation));
    }
    return {};
}

Result<void> Replayer::Parts::carry_out(Operation& operation) {
    wait_for_room(operation);
    wait_for_conflicts(operation);
    if (operation.op == BlockOp::write) {
        const Result<void> verified = verify_write(operation);
        if (!verified.ok()) {
            unused.push_back(&operation);
            return verified;
        }
    }
    if (failure) {
        unused.push_back(&operation);
    } else {
        submit(operation);
    }
    return {};
}

void Replayer::Parts::fill(Operation& operation, const BlockRecord& record) {
    operation.disk = record.disk;
    operation.sequence = record.sequence;
    operation.digest = record.digest;
    operation.offset = record.offset;
    operation.length = record.length;
    const bool discards = record.op == BlockOp::discard;
    operation.op = discards ? BlockOp::write_zeroes : record.op;
    operation.may_unmap = discards || record.may_unmap;
    operation.segments = record.segments;
    if (record.by_value) {
        // A backend does not change what it writes.
        auto* const bytes = const_cast<std::uint8_t*>(record.payload.data());
        operation.buffers.push_back({bytes, record.payload.size()});
    } else if (!record.segments.empty()) {
        for (const Segment& segment : record.segments)
            operation.buffers.push_back(
                {memory->host_range(segment.address, segment.length), segment.length});
    } else if (record.op == BlockOp::read) {
        operation.bytes.resize(record.length);
        operation.buffers.push_back({operation.bytes.data(), record.length});
    }
}

Result<void> Replayer::Parts::verify_write(const Operation& operation) {
    if (digest_of_pieces(operation.buffers) == operation.digest) return {};
    return make_error(
        "disk {}: record {}: what is to be written at byte {} differs from the primary's",
        operation.disk, operation.sequence, operation.offset);
}

bool Replayer::Parts::conflicts(const Operation& next, const Operation& earlier) const {
    if (earlier.op == BlockOp::flush) return false;
    if (earlier.disk == next.disk && (changes_disk(earlier.op) || changes_disk(next.op)) &&
        ranges_overlap(earlier.offset, earlier.length, next.offset, next.length)) {
        return true;
    }
    return (earlier.op == BlockOp::read || next.op == BlockOp::read) &&
           share_memory(earlier.segments, next.segments);
}

void Replayer::Parts::wait_for_room(const Operation& next) {
    while (in_flight.size() >= in_flight_max && !failure)
        wait_for(*disks[in_flight.front()->disk]);
    if (next.op != BlockOp::write_zeroes) return;
    while (zeroes_in_flight() + next.length > zeroes_in_flight_max && !failure)
        wait_for(*disks[next.disk]);
}

std::uint64_t Replayer::Parts::zeroes_in_flight() const {
    std::uint64_t bytes = 0;
    for (const Operation* operation : in_flight)
        bytes += operation->op == BlockOp::write_zeroes ? operation->length : 0;
    return bytes;
}

void Replayer::Parts::wait_for_conflicts(const Operation& next) {
    const auto blocks = [&](const Operation* earlier) { return conflicts(next, *earlier); };
    while (!failure) {
        const auto earlier = std::ranges::find_if(in_flight, blocks);
        if (earlier == in_flight.end()) return;
        wait_for(*disks[(*earlier)->disk]);
    }
}

void Replayer::Parts::submit(Operation& operation) {
    in_flight.push_back(&operation);
    disks[operation.disk]->submit(operation);
}

// Once for each disk, however often the records say so.
void Replayer::Parts::ask_for_flushes(std::span<const BlockRecord> records) {
    for (std::size_t disk = 0; disk < disks.size(); ++disk) {
        if (std::ranges::any_of(records, [disk](const BlockRecord& record) {
                return record.op == BlockOp::flush && record.disk == disk;
            })) {
            ask_for_flush(disk);
        }
    }
}

void Replayer::Parts::ask_for_flush(std::size_t disk) {
    if (failure || limits[disk].read_only) return;
    if (flushes[disk].ask(std::chrono::steady_clock::now())) submit_flush(disk);
}

void Replayer::Parts::submit_flush(std::size_t disk) {
    crash_point("before-replayed-flush");
    Operation& operation = allocate();
    operation.disk = disk;
    operation.op = BlockOp::flush;
    operation.offset = operation.length = operation.sequence = 0;
    submit(operation);
    disks[disk]->flush_submissions();
}

void Replayer::Parts::poll_disks() {
    for (BlockBackend* disk : disks)
        disk->poll_completions();
}

// Until one more operation is complete, of this disk or another.
void Replayer::Parts::wait_for(BlockBackend& disk) {
    const auto deadline = std::chrono::steady_clock::now() + answer_limit;
    const std::uint64_t before = completions;
    while (true) {
        poll_disks();
        if (completions != before) return;
        if (std::chrono::steady_clock::now() >= deadline) return give_up();
        const auto elsewhere = [&](const Operation* o) { return disks[o->disk] != &disk; };
        const bool several = std::ranges::any_of(in_flight, elsewhere);
        disk.wait_for_completion(
            std::min(several ? look_every_of_several : look_every, answer_limit));
    }
}

// All but flushes.
void Replayer::Parts::wait_for_data() {
    const auto moves_data = [](const Operation* o) { return o->op != BlockOp::flush; };
    while (!hung) {
        const auto data = std::ranges::find_if(in_flight, moves_data);
        if (data == in_flight.end()) return;
        wait_for(*disks[(*data)->disk]);
    }
}

void Replayer::Parts::wait_all() {
    while (!in_flight.empty() && !hung)
        wait_for(*disks[in_flight.front()->disk]);
}

void Replayer::Parts::give_up() {
    if (hung) return;
    hung = true;
    const bool only_flushes = std::ranges::all_of(
        in_flight, [](const Operation* operation) { return operation->op == BlockOp::flush; });
    only_slow = !failure && only_flushes;
    if (!failure) failure = failure_of(*in_flight.front(), "does not answer");
    for (DiskFlush& flush : flushes)
        flush.give_up();
}

void Replayer::Parts::fail(const Operation& operation, const char* what) {
    only_slow = false;
    if (!failure) failure = failure_of(operation, what);
}

Error Replayer::Parts::failure_of(const Operation& operation, const char* what) {
    return make_error("disk {}: {} (record {}, byte {}, {} bytes)", operation.disk, what,
                      operation.sequence, operation.offset, operation.length);
}

void Replayer::Parts::complete(BlockOperation& completed, BlockStatus status) {
    auto& operation = static_cast<Operation&>(completed);
    std::erase(in_flight, &operation);
    ++completions;
    work_step();
    if (status != BlockStatus::ok) {
        fail(operation, "cannot carry out what the primary's did");
    } else if (operation.op == BlockOp::read &&
               digest_of_pages(operation.buffers) != operation.digest) {
        fail(operation, "holds other bytes than the primary's");
    }
    if (operation.op == BlockOp::flush) {
        const auto now = std::chrono::steady_clock::now();
        const bool another = flushes[operation.disk].done(status == BlockStatus::ok, now);
        if (another) submit_flush(operation.disk);
    }
    unused.push_back(&operation);
}

}  // namespace fmvm::replay
