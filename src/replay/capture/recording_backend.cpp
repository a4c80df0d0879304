// SPDX-License-Identifier: Apache-2.0
#include "replay/capture/recording_backend.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/crash_point.h"
#include "base/digest.h"

namespace fmvm::replay {

// What is handed down in the place of an operation of the device's.
struct RecordingBackend::Tracked : BlockOperation {
    BlockOperation* original = nullptr;
    bool captured = false;                // the log will be told how it ended
    std::shared_ptr<WritePayload> write;  // of a captured write
    Payload bounce;                       // of a captured read
    std::size_t place = 0;                // in started_
};

namespace {

bool conflict(const BlockOperation& one, const BlockOperation& other) {
    return (changes_disk(one.op) || changes_disk(other.op)) &&
           ranges_overlap(one.offset, one.length, other.offset, other.length);
}

}  // namespace

RecordingBackend::RecordingBackend(EventLoop& loop, GuestMemory& memory, BlockLog& log,
                                   std::uint8_t disk, std::unique_ptr<BlockBackend> inner)
    : ForwardingBackend(std::move(inner)), loop_(loop), memory_(memory), log_(log), disk_(disk) {
    log_.add_disk(*this);
}

RecordingBackend::~RecordingBackend() {
    log_.remove_disk(*this);
    tasks_.end();
    destroy_inner();
}

void RecordingBackend::submit(BlockOperation& operation) {
    Tracked& tracked = track(operation);
    log_.began();
    if (must_wait(tracked) || !start(tracked)) waiting_.push_back(&tracked);
}

RecordingBackend::Tracked& RecordingBackend::track(BlockOperation& operation) {
    Tracked& tracked = pool_.take();
    tracked.op = operation.op;
    tracked.offset = operation.offset;
    tracked.length = operation.length;
    tracked.may_unmap = operation.may_unmap;
    tracked.owner = this;
    tracked.original = &operation;
    tracked.captured = log_.captures();
    return tracked;
}

// In the order in which the guest asked, wherever that matters.
bool RecordingBackend::must_wait(const Tracked& tracked) const {
    if (!tracked.captured) return false;
    if (log_.is_full()) return true;
    if (tracked.op == BlockOp::flush) return false;
    const auto conflicts = [&tracked](const Tracked* other) { return conflict(tracked, *other); };
    for (const Tracked* other : waiting_) {
        if (other == &tracked) break;  // only those before it
        if (conflicts(other)) return true;
    }
    return std::ranges::any_of(started_, conflicts);
}

// False: there is no room for its bytes now.
bool RecordingBackend::start(Tracked& tracked) {
    tracked.buffers = tracked.original->buffers;
    if (tracked.captured && tracked.op == BlockOp::write) {
        if (!capture_write(tracked)) return false;
    } else if (tracked.captured && tracked.op == BlockOp::read && log_.redirects_reads()) {
        if (!redirect_read(tracked)) return false;
    }
    if (tracked.captured && tracked.op == BlockOp::flush) crash_point("before-flush");
    tracked.place = started_.size();
    started_.push_back(&tracked);
    inner().submit(tracked);
    return true;
}

void RecordingBackend::flush_submissions() {
    inner().flush_submissions();
    if (log_.phase() == BlockLog::Phase::recording) crash_point("requests-in-flight");
}

bool RecordingBackend::capture_write(Tracked& tracked) {
    std::optional<Payload> bytes = log_.allocate(tracked.length);
    if (!bytes) return false;
    gather(tracked.buffers, bytes->bytes().data());
    tracked.buffers.assign(1, {bytes->bytes().data(), tracked.length});
    tracked.write = std::make_shared<WritePayload>();
    tracked.write->bytes = std::move(*bytes);
    tracked.write->segments = tracked.original->segments;
    tracked.write->taken_after = log_.last_sequence();
    return true;
}

bool RecordingBackend::redirect_read(Tracked& tracked) {
    std::optional<Payload> bytes = log_.allocate(tracked.length);
    if (!bytes) return false;
    tracked.buffers.assign(1, {bytes->bytes().data(), tracked.length});
    tracked.bounce = std::move(*bytes);
    return true;
}

void RecordingBackend::start_waiting() {
    if (std::exchange(starting_, true)) return;  // a completion from within
    bool any = false;
    for (std::size_t i = 0; i < waiting_.size();) {
        Tracked& tracked = *waiting_[i];
        if (must_wait(tracked)) {
            ++i;
            continue;
        }
        // Out of the queue first: it may complete at once, and others come.
        waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
        if (!start(tracked)) {
            waiting_.insert(waiting_.begin() + static_cast<std::ptrdiff_t>(i), &tracked);
            break;
        }
        any = true;
        i = 0;
    }
    starting_ = false;
    if (any) inner().flush_submissions();
}

bool RecordingBackend::poll_completions() {
    const bool any = inner().poll_completions();
    if (!waiting_.empty()) start_waiting();
    return any;
}

void RecordingBackend::withdraw() {
    for (Tracked* tracked : std::exchange(waiting_, {})) {
        log_.ended(tracked->captured);
        BlockOperation& original = *tracked->original;
        release(*tracked);
        original.complete(BlockStatus::io_error);
    }
    inner().withdraw();
}

void RecordingBackend::wake() {
    loop_.post(tasks_.bind([this] { start_waiting(); }));
}

void RecordingBackend::complete(BlockOperation& operation, BlockStatus status) {
    auto& tracked = static_cast<Tracked&>(operation);
    started_[tracked.place] = started_.back();
    started_[tracked.place]->place = tracked.place;
    started_.pop_back();
    log_.ended(tracked.captured);
    if (status == BlockStatus::io_error && changes_disk(tracked.op)) doubt(tracked);
    // After a failure nobody knows what of it was read.
    if (!tracked.bounce.empty() && status == BlockStatus::ok) deliver_read(tracked);
    if (tracked.captured) log(tracked, status);
    BlockOperation& original = *tracked.original;
    release(tracked);
    original.complete(status);
    if (!waiting_.empty()) start_waiting();
}

void RecordingBackend::deliver_read(const Tracked& tracked) {
    scatter(tracked.bounce.bytes().data(), tracked.original->buffers);
}

void RecordingBackend::log(Tracked& tracked, BlockStatus status) {
    if (!log_.wants(tracked.op)) return;
    LoggedRequest request;
    if (tracked.op == BlockOp::read) {
        if (status != BlockStatus::ok || is_doubtful(tracked)) return;
        request.filled = filled_pages(tracked);
        if (request.filled.empty()) return;
        if (log_.takes(BlockOp::read)) mark_others(tracked);
    }
    request.disk = disk_;
    request.op = tracked.op;
    request.failed = status != BlockStatus::ok;
    request.may_unmap = tracked.may_unmap;
    if (tracked.op != BlockOp::flush) {
        request.offset = tracked.offset;
        request.length = tracked.length;
    }
    if (!request.failed) request.write = std::move(tracked.write);
    log_.append(std::move(request));
}

// Those that it filled whole, of blocks that can be read by themselves.
std::vector<FilledPage> RecordingBackend::filled_pages(const Tracked& tracked) const {
    const std::span<const std::uint8_t> bytes = tracked.bounce.bytes();
    std::vector<FilledPage> filled;
    if (bytes.empty()) return filled;  // it was under way when recording began
    for_each_piece(tracked.original->segments, memory_, [&](const GuestPiece& piece) {
        if (!is_filled_whole(tracked, piece)) return;
        filled.push_back({piece.page, piece.at, digest_of(bytes.subspan(piece.at, page_size))});
    });
    return filled;
}

bool RecordingBackend::is_filled_whole(const Tracked& tracked, const GuestPiece& piece) const {
    return piece.length == page_size && (tracked.offset + piece.at) % inner().block_size() == 0;
}

// The log names the pages that the read filled whole; they are not marked, so that the cut can tell
// whether anything else has changed them.
void RecordingBackend::mark_others(const Tracked& tracked) {
    for_each_piece(tracked.original->segments, memory_, [&](const GuestPiece& piece) {
        if (!is_filled_whole(tracked, piece))
            memory_.mark_dirty(memory_.page_address(piece.page), page_size);
    });
    tracked.original->accounted = true;
}

// What the failed change has left there the backup does not know.
void RecordingBackend::doubt(const Tracked& tracked) {
    if (doubtful_.size() < doubtful_max) {
        doubtful_.push_back({tracked.offset, tracked.length});
        return;
    }
    Range& last = doubtful_.back();  // covers what is between, too
    const std::uint64_t end = std::max(last.offset + last.length, tracked.offset + tracked.length);
    last.offset = std::min(last.offset, tracked.offset);
    last.length = end - last.offset;
}

bool RecordingBackend::is_doubtful(const Tracked& tracked) const {
    return std::ranges::any_of(doubtful_, [&tracked](const Range& range) {
        return ranges_overlap(range.offset, range.length, tracked.offset, tracked.length);
    });
}

void RecordingBackend::release(Tracked& tracked) {
    tracked.original = nullptr;
    tracked.write.reset();
    tracked.bounce = Payload();
    tracked.buffers.clear();
    pool_.give_back(tracked);
}

void RecordingBackend::forget_captures() {
    doubtful_.clear();
    for (Tracked* tracked : started_)
        tracked->captured = false;
    for (Tracked* tracked : waiting_)
        tracked->captured = false;
}

void RecordingBackend::add_writes_in_flight(
    std::vector<std::shared_ptr<WritePayload>>& writes) const {
    for (const Tracked* tracked : started_) {
        if (tracked->write) writes.push_back(tracked->write);
    }
}

}  // namespace fmvm::replay
