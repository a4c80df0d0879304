// SPDX-License-Identifier: Apache-2.0
#include "replay/archive/epoch_recorder.h"

#include <deque>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "replay/record/reference_rule.h"

namespace fmvm::replay {

namespace {

// How long requests of a guest that runs alone are gathered, and how many bytes of them.
constexpr std::chrono::milliseconds gather_time{100};
constexpr std::uint64_t gather_bytes = 4 * mib;
constexpr std::uint64_t request_cost = 256;

std::uint64_t cost_of(const LoggedRequest& request) {
    return request_cost + request.filled.size() * sizeof(FilledPage) +
           (request.write ? request.length : 0);
}

std::uint64_t now_ms() {
    const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count());
}

struct Batch {
    EpochStamp stamp;
    std::vector<LoggedRequest> requests;
    std::uint64_t bytes = 0;  // that it holds
};

}  // namespace

// Lives as long as the thread, which may have been left behind.
struct EpochRecorder::Shared {
    void take_open(std::uint64_t shipped, std::deque<Batch>& target) FMVM_REQUIRES(mutex);
    void forget_uncommitted() FMVM_REQUIRES(mutex);
    void give_up(const std::string& why) FMVM_REQUIRES(mutex);
    bool is_gathering() const FMVM_REQUIRES(mutex) {
        return alone && !open.requests.empty() && !ending;
    }
    void gather() FMVM_REQUIRES(mutex);
    void written(std::uint64_t bytes, const Result<void>& result) FMVM_REQUIRES(mutex);
    void run();

    Mutex mutex;
    Condition changed;
    std::unique_ptr<EpochLogWriter> writer;  // of the thread, once it runs
    std::atomic<bool> recording{false};
    bool alone FMVM_GUARDED_BY(mutex) = true;
    bool ending FMVM_GUARDED_BY(mutex) = false;
    bool ended FMVM_GUARDED_BY(mutex) = false;
    std::uint64_t generation FMVM_GUARDED_BY(mutex) = 0;
    // Of all that follows, and of what is being written.
    std::uint64_t held_bytes FMVM_GUARDED_BY(mutex) = 0;
    Batch open FMVM_GUARDED_BY(mutex);                // since the last cut
    std::deque<Batch> closed FMVM_GUARDED_BY(mutex);  // cut, not committed
    std::deque<Batch> ready FMVM_GUARDED_BY(mutex);   // to be written
};

EpochRecorder::EpochRecorder() : shared_(std::make_shared<Shared>()) {}

EpochRecorder::~EpochRecorder() {
    end();
}

Result<void> EpochRecorder::begin(const std::string& path, const EpochLogHeader& header,
                                  std::uint64_t generation,
                                  const std::vector<LoggedRequest>& start) {
    FMVM_CHECK(!thread_.joinable());
    EpochLogHeader stamped = header;
    stamped.begun_ms = now_ms();
    shared_->writer = FMVM_TRY(EpochLogWriter::create(path, stamped));
    set_generation(generation);
    FMVM_TRY(shared_->writer->append({generation, 0, now_ms()}, by_value(start).records));
    shared_->recording = true;
    thread_ = start_thread("record", [shared = shared_] { shared->run(); });
    return {};
}

bool EpochRecorder::is_recording() const {
    return shared_->recording;
}

void EpochRecorder::append(const LoggedRequest& request) {
    Shared& shared = *shared_;
    const Lock lock(shared.mutex);
    if (!shared.recording) return;
    const std::uint64_t cost = cost_of(request);
    if (shared.held_bytes + cost > held_bytes_max) {
        shared.give_up(fmt::format("log {}: cannot be written as fast as the guest writes",
                                   shared.writer->path()));
        return;
    }
    shared.held_bytes += cost;
    const bool first = shared.open.requests.empty();
    const bool many = shared.open.bytes < gather_bytes && shared.open.bytes + cost >= gather_bytes;
    shared.open.bytes += cost;
    shared.open.requests.push_back(request);
    if (shared.alone && (first || many)) shared.changed.notify_all();
}

void EpochRecorder::close_epoch(std::uint64_t epoch) {
    const Lock lock(shared_->mutex);
    if (std::exchange(shared_->alone, false)) {
        shared_->take_open(0, shared_->ready);
        shared_->changed.notify_all();
    } else {
        shared_->take_open(epoch, shared_->closed);
    }
}

void EpochRecorder::commit(std::uint64_t epoch) {
    const Lock lock(shared_->mutex);
    std::deque<Batch>& closed = shared_->closed;
    for (; !closed.empty() && closed.front().stamp.shipped <= epoch; closed.pop_front())
        shared_->ready.push_back(std::move(closed.front()));
    if (!shared_->ready.empty()) shared_->changed.notify_all();
}

void EpochRecorder::commit_all() {
    const Lock lock(shared_->mutex);
    for (Batch& batch : std::exchange(shared_->closed, {}))
        shared_->ready.push_back(std::move(batch));
    shared_->alone = true;
    shared_->changed.notify_all();
}

void EpochRecorder::set_generation(std::uint64_t generation) {
    const Lock lock(shared_->mutex);
    shared_->generation = generation;
}

void EpochRecorder::end() {
    if (!thread_.joinable()) return;
    Lock lock(shared_->mutex);
    if (shared_->alone) shared_->take_open(0, shared_->ready);
    shared_->recording = false;
    shared_->ending = true;
    shared_->forget_uncommitted();
    shared_->changed.notify_all();
    const auto deadline = std::chrono::steady_clock::now() + farewell;
    while (!shared_->ended && shared_->changed.wait_until(shared_->mutex, deadline)) {
    }
    if (shared_->ended) {
        lock.unlock();
        thread_.join();
        return;
    }
    log::warning("record", "log {}: does not take its last epochs; they are lost",
                 shared_->writer->path());
    thread_.detach();
}

void EpochRecorder::Shared::take_open(std::uint64_t shipped, std::deque<Batch>& target) {
    if (open.requests.empty()) return;
    open.stamp = {generation, shipped, now_ms()};
    target.push_back(std::exchange(open, {}));
}

void EpochRecorder::Shared::forget_uncommitted() {
    held_bytes -= open.bytes;
    open = {};
    for (const Batch& batch : closed)
        held_bytes -= batch.bytes;
    closed.clear();
}

// What counts is still written, so that the log ends with it.
void EpochRecorder::Shared::give_up(const std::string& why) {
    if (!recording.exchange(false)) return;
    log::warning("record", "{}; the guest goes on, recording has ended", why);
    forget_uncommitted();
}

// What a guest that runs alone does makes an epoch when it has become enough.
void EpochRecorder::Shared::gather() {
    const auto deadline = std::chrono::steady_clock::now() + gather_time;
    while (is_gathering() && open.bytes < gather_bytes && changed.wait_until(mutex, deadline)) {
    }
    if (is_gathering()) take_open(0, ready);
}

void EpochRecorder::Shared::written(std::uint64_t bytes, const Result<void>& result) {
    held_bytes -= bytes;
    if (result.ok()) return;
    give_up(result.error().message());
    for (const Batch& unwritten : std::exchange(ready, {}))
        held_bytes -= unwritten.bytes;
}

void EpochRecorder::Shared::run() {
    Lock lock(mutex);
    while (true) {
        while (!ending && ready.empty() && !is_gathering())
            changed.wait(mutex);
        if (ready.empty() && is_gathering()) gather();
        if (!ready.empty()) {
            Batch batch = std::move(ready.front());
            ready.pop_front();
            lock.unlock();
            const Result<void> result =
                writer->append(batch.stamp, by_value(batch.requests).records);
            batch.requests.clear();  // gives payloads back
            lock.lock();
            written(batch.bytes, result);
        } else if (ending) {
            break;
        }
    }
    ended = true;
    changed.notify_all();
}

}  // namespace fmvm::replay
