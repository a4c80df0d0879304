// SPDX-License-Identifier: Apache-2.0
#include "replay/recording_backend.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/digest.h"
#include "replay/guest_pieces.h"

namespace fmvm::replay {

// What is handed down in the place of an operation of the device's.
struct RecordingBackend::Tracked : BlockOperation {
    BlockOperation* original = nullptr;
    bool captured = false;                // the log will be told how it ended
    std::shared_ptr<WritePayload> write;  // of a captured write
    Payload bounce;                       // of a read that fills whole pages
    std::size_t place = 0;                // in started_
};

namespace {

bool changes_disk(const BlockOperation& operation) {
    return operation.op != BlockOp::read && operation.op != BlockOp::flush;
}

bool overlap(const BlockOperation& one, const BlockOperation& other) {
    if (!changes_disk(one) && !changes_disk(other)) return false;
    return one.offset < other.offset + other.length && other.offset < one.offset + one.length;
}

bool has_whole_page(const Segments& segments) {
    return std::ranges::any_of(segments, [](const Segment& segment) {
        const std::uint64_t start = segment.address.value();
        return align_up(start, page_size) + page_size <= start + segment.length;
    });
}

}  // namespace

RecordingBackend::RecordingBackend(EventLoop& loop, const GuestMemory& memory, BlockLog& log,
                                   std::uint8_t disk, std::unique_ptr<BlockBackend> inner)
    : loop_(loop),
      memory_(memory),
      log_(log),
      disk_(disk),
      self_(std::make_shared<RecordingBackend*>(this)),
      inner_(std::move(inner)) {
    log_.add_backend(*this);
}

RecordingBackend::~RecordingBackend() {
    log_.remove_backend(*this);
    *self_ = nullptr;
}

void RecordingBackend::submit(BlockOperation& operation) {
    Tracked& tracked = track(operation);
    ++log_.in_flight_;
    if (must_wait(tracked) || !start(tracked)) waiting_.push_back(&tracked);
}

RecordingBackend::Tracked& RecordingBackend::track(BlockOperation& operation) {
    if (unused_.empty()) {
        pool_.push_back(std::make_unique<Tracked>());
        unused_.push_back(pool_.back().get());
    }
    Tracked& tracked = *unused_.back();
    unused_.pop_back();
    tracked.op = operation.op;
    tracked.offset = operation.offset;
    tracked.length = operation.length;
    tracked.may_unmap = operation.may_unmap;
    tracked.owner = this;
    tracked.original = &operation;
    tracked.captured = log_.phase_ != BlockLog::Phase::off;
    return tracked;
}

// In the order in which the guest asked, wherever that matters.
bool RecordingBackend::must_wait(const Tracked& tracked) const {
    if (!tracked.captured || tracked.op == BlockOp::flush) return false;
    if (log_.budget_->is_exceeded()) return true;
    const auto conflicts = [&tracked](const Tracked* other) { return overlap(tracked, *other); };
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
    } else if (tracked.op == BlockOp::read && log_.records_reads() &&
               has_whole_page(tracked.original->segments)) {
        if (!redirect_read(tracked)) return false;
    }
    tracked.place = started_.size();
    started_.push_back(&tracked);
    inner_->submit(tracked);
    return true;
}

bool RecordingBackend::capture_write(Tracked& tracked) {
    std::optional<Payload> bytes = log_.budget_->take(tracked.length);
    if (!bytes) return false;
    std::uint8_t* target = bytes->bytes().data();
    for (const iovec& buffer : tracked.buffers) {
        std::memcpy(target, buffer.iov_base, buffer.iov_len);
        target += buffer.iov_len;
    }
    tracked.buffers.assign(1, {bytes->bytes().data(), tracked.length});
    tracked.write = std::make_shared<WritePayload>();
    tracked.write->bytes = std::move(*bytes);
    tracked.write->segments = tracked.original->segments;
    return true;
}

bool RecordingBackend::redirect_read(Tracked& tracked) {
    std::optional<Payload> bytes = log_.budget_->take(tracked.length);
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
    if (any) inner_->flush_submissions();
}

bool RecordingBackend::poll_completions() {
    const bool any = inner_->poll_completions();
    if (!waiting_.empty()) start_waiting();
    return any;
}

void RecordingBackend::withdraw() {
    for (Tracked* tracked : std::exchange(waiting_, {})) {
        --log_.in_flight_;
        if (!tracked->captured && log_.uncaptured_ != 0) --log_.uncaptured_;
        BlockOperation& original = *tracked->original;
        release(*tracked);
        original.complete(BlockStatus::io_error);
    }
    inner_->withdraw();
}

void RecordingBackend::wake() {
    loop_.post([self = self_] {
        if (*self != nullptr) (*self)->start_waiting();
    });
}

void RecordingBackend::complete(BlockOperation& operation, BlockStatus status) {
    auto& tracked = static_cast<Tracked&>(operation);
    started_[tracked.place] = started_.back();
    started_[tracked.place]->place = tracked.place;
    started_.pop_back();
    --log_.in_flight_;
    LoggedRequest request = logged(tracked, status);
    const bool passed_read = request.op == BlockOp::read && request.filled.empty();
    if (tracked.captured) {
        if (log_.phase_ != BlockLog::Phase::off && !passed_read) log_.append(std::move(request));
    } else if (log_.uncaptured_ != 0) {
        --log_.uncaptured_;
    }
    BlockOperation& original = *tracked.original;
    release(tracked);
    original.complete(status);
    if (!waiting_.empty()) start_waiting();
}

LoggedRequest RecordingBackend::logged(Tracked& tracked, BlockStatus status) {
    LoggedRequest request;
    request.disk = disk_;
    request.op = tracked.op;
    request.failed = status != BlockStatus::ok;
    request.may_unmap = tracked.may_unmap;
    request.offset = tracked.op == BlockOp::flush ? 0 : tracked.offset;
    request.length = tracked.op == BlockOp::flush ? 0 : tracked.length;
    if (!request.failed) request.write = std::move(tracked.write);
    if (!tracked.bounce.empty()) request.filled = deliver_read(tracked);
    if (request.failed) request.filled.clear();
    return request;
}

// Puts what was read where the guest wants it, whether or not all of it came.
std::vector<FilledPage> RecordingBackend::deliver_read(Tracked& tracked) {
    const std::span<const std::uint8_t> bytes = tracked.bounce.bytes();
    std::vector<FilledPage> filled;
    for_each_piece(tracked.original->segments, memory_, [&](const GuestPiece& piece) {
        if (piece.length != page_size) return;
        if ((tracked.offset + piece.at) % inner_->block_size() != 0) return;
        std::erase_if(filled, [&piece](const FilledPage& f) { return f.page == piece.page; });
        filled.push_back({piece.page, piece.at, digest_of(bytes.subspan(piece.at, page_size))});
    });
    const std::uint8_t* source = bytes.data();
    for (const iovec& buffer : tracked.original->buffers) {
        std::memcpy(buffer.iov_base, source, buffer.iov_len);
        source += buffer.iov_len;
    }
    return filled;
}

void RecordingBackend::release(Tracked& tracked) {
    tracked.original = nullptr;
    tracked.write.reset();
    tracked.bounce = Payload();
    tracked.buffers.clear();
    unused_.push_back(&tracked);
}

void RecordingBackend::forget_captures() {
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
