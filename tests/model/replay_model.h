// SPDX-License-Identifier: Apache-2.0
// A primary whose guest writes pages and uses its disks at random, and a backup that is sent what
// the reference rule leaves of it. Both are made of the real classes.
#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "replay/apply/replayer.h"
#include "replay/capture/recording_backend.h"
#include "replay/record/reference_rule.h"
#include "support/slow_disk.h"

namespace fmvm::replay::model {

using namespace fmvm::test;

using Random = std::mt19937_64;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t region_bytes = 6 * page_size;
constexpr GuestAddress second_region{1 * mib};
constexpr std::uint64_t disk_bytes = 48 * kib;
constexpr std::size_t disk_count = 2;
constexpr std::size_t in_flight_max = 12;
constexpr unsigned failing = 5;  // of 1000 changes

inline GuestMemory make_memory() {
    const GuestMemory::Range ranges[] = {{GuestAddress(0), region_bytes},
                                         {second_region, region_bytes}};
    return GuestMemory::allocate(ranges).value();
}

inline Bytes all_pages(const GuestMemory& memory) {
    Bytes bytes;
    for (PageIndex page = 0; page < memory.page_count(); ++page)
        bytes.insert(bytes.end(), memory.page(page).begin(), memory.page(page).end());
    return bytes;
}

class PageCopies : public CutPages {
  public:
    const std::uint8_t* find(PageIndex page) const override {
        const auto found = pages.find(page);
        return found == pages.end() ? nullptr : found->second.data();
    }
    std::map<PageIndex, Bytes> pages;
};

// How often the interesting things happened.
struct Counts {
    std::uint64_t steps = 0;
    std::uint64_t cuts = 0;
    std::uint64_t by_reference = 0;
    std::uint64_t by_value = 0;
    std::uint64_t filled = 0;
    std::uint64_t from_filled = 0;  // writes by reference from a page that a read filled
    std::uint64_t spanning = 0;     // writes that some cut found in flight
};

// What crosses the network, encoded.
struct Message {
    std::map<PageIndex, Bytes> pages;
    Bytes records;
};

inline Bytes encode(const OutgoingRecords& outgoing) {
    ByteWriter out;
    for (const BlockRecord& record : outgoing.records) {
        encode_record(record, out);
        if (record.by_value) out.raw(record.payload);
    }
    return out.take();
}

class Backup {
  public:
    explicit Backup(std::uint64_t seed) : random_(seed) {
        std::vector<BlockBackend*> backends;
        for (std::size_t i = 0; i < disk_count; ++i) {
            images.push_back(std::make_shared<Bytes>(disk_bytes));
            disks_.push_back(std::make_unique<SlowDisk>(
                images.back(), seed + i, SlowDisk::Options{.works_when_polled = true}));
            backends.push_back(disks_.back().get());
        }
        replayer_.emplace(&memory, backends);
    }

    std::string apply(const Message& message) {
        for (const auto& [page, bytes] : message.pages)
            std::ranges::copy(bytes, memory.page(page).begin());
        std::vector<BlockRecord> records;
        ByteReader in(message.records);
        while (in.remaining() != 0)
            records.push_back(decode_record(in));
        if (!in.done()) return "a record is malformed";
        for (const BlockRecord& record : records) {
            if (const Result<void> fits = replayer_->check(record); !fits.ok())
                return fits.error().message();
        }
        const Result<void> done = replayer_->replay(records);
        return done.ok() ? repeat(std::move(records)) : done.error().message();
    }

    GuestMemory memory = make_memory();
    std::vector<SharedImage> images;

  private:
    // Replay is idempotent: the last changes, any number of them, may be carried out once more.
    std::string repeat(std::vector<BlockRecord> records) {
        std::erase_if(records, [](const BlockRecord& record) { return !changes_disk(record.op); });
        std::vector<Bytes> before;
        for (const SharedImage& image : images)
            before.push_back(*image);
        const std::uint64_t first = random_() % (records.size() + 1);
        const Result<void> done = replayer_->replay(std::span(records).subspan(first));
        if (!done.ok()) return "again: " + done.error().message();
        for (std::size_t i = 0; i < disk_count; ++i) {
            if (*images[i] != before[i]) return "carried out twice, changes differ";
        }
        return "";
    }

    Random random_;
    std::vector<std::unique_ptr<SlowDisk>> disks_;
    std::optional<Replayer> replayer_;
};

class Primary : private BlockOperationOwner {
  public:
    Primary(std::uint64_t seed, Counts& counts) : random_(seed), counts_(counts) {
        const std::uint64_t budget = random_() % 2 == 0 ? 64 * kib : BlockLog::budget_default;
        log_.emplace(BlockLog::Reads::recorded, budget);
        for (std::size_t i = 0; i < disk_count; ++i) {
            images.push_back(std::make_shared<Bytes>(disk_bytes));
            auto slow = std::make_unique<SlowDisk>(images.back(), seed + 7 * i,
                                                   SlowDisk::Options{.failing = failing});
            slow_.push_back(slow.get());
            disks_.push_back(std::make_unique<RecordingBackend>(
                loop_, memory_, *log_, static_cast<std::uint8_t>(i), std::move(slow)));
        }
    }

    void step() {
        ++counts_.steps;
        const std::uint64_t choice = random_() % 100;
        if (choice < stores_) {
            store();
        } else if (choice < stores_ + stores_ / 4) {
            copy_page();
        } else if (choice < 50) {
            if (busy_ < in_flight_max) submit();
        } else {
            slow_[random_() % disk_count]->work();
        }
        loop_.context().restart();
        loop_.context().poll();
    }

    // Protection begins: the backup gets all, and what changes meanwhile, until the first cut.
    std::string begin(Backup& backup) {
        log_->begin();
        for (SlowDisk* disk : slow_)
            disk->forget_failures();
        std::string failure;
        while (!log_->all_captured() && failure.empty())
            failure = mirror(backup);
        for (std::size_t i = 0; i < disk_count; ++i)
            *backup.images[i] = *images[i];
        for (std::uint64_t steps = random_() % 40; steps != 0 && failure.empty(); --steps)
            failure = mirror(backup);
        return failure.empty() ? first_cut(backup) : failure;
    }
    std::string cut_and_apply(Backup& backup) {
        close(log_->close_epoch());
        spanning_ += epoch_.in_flight.size();
        for (std::uint64_t steps = random_() % 6; steps != 0; --steps)  // the guest runs beside it
            step();
        const OutgoingRecords outgoing =
            apply_reference_rule(epoch_, memory_, staged_, PayloadMode::by_reference);
        count(outgoing);
        Message message{staged_.pages, encode(outgoing)};
        for (const PageIndex page : outgoing.filled)
            message.pages.erase(page);
        epoch_ = {};
        return apply(backup, message);
    }
    void end() { log_->end(); }

    // All requests are answered, if there are cuts when the log wants them.
    std::string finish(Backup& backup) {
        std::string failure;
        while (busy_ != 0 && failure.empty()) {
            for (SlowDisk* disk : slow_)
                disk->work();
            loop_.context().restart();
            loop_.context().poll();
            if (log_->under_pressure()) {
                failure = cut_and_apply(backup);
            } else if (busy_ != 0 && slow_[0]->idle() && slow_[1]->idle()) {
                failure = "a request is never answered";
            }
        }
        return failure.empty() ? cut_and_apply(backup) : failure;
    }

    std::vector<SharedImage> images;

  private:
    struct Request : BlockOperation {
        bool busy = false;
    };

    std::string mirror(Backup& backup) {
        step();
        return backup.apply({{}, encode(by_value(log_->take_completed()))});
    }
    std::string first_cut(Backup& backup) {
        const Bytes mirrored = encode(by_value(log_->take_completed()));
        log_->start_epochs();
        close(log_->close_epoch());
        for (const auto& write : epoch_.in_flight)
            forget_pages(*write, memory_);
        epoch_ = {};
        Message message{{}, mirrored};
        for (PageIndex page = 0; page < memory_.page_count(); ++page)
            message.pages[page] = Bytes(memory_.page(page).begin(), memory_.page(page).end());
        return apply(backup, message);
    }

    // The guest stands.
    void close(BlockLog::Epoch epoch) {
        ++counts_.cuts;
        epoch_ = std::move(epoch);
        staged_.pages.clear();
        const std::vector<std::uint64_t> marks = memory_.take_dirty_marks();
        for (PageIndex page = 0; page < memory_.page_count(); ++page) {
            if ((marks[page / 64] >> page % 64 & 1) == 0) continue;
            staged_.pages[page] = Bytes(memory_.page(page).begin(), memory_.page(page).end());
        }
        ram_ = all_pages(memory_);
        contents_.clear();
        uncertain_.clear();
        for (std::size_t i = 0; i < disk_count; ++i) {
            contents_.push_back(*images[i]);
            uncertain_.push_back(slow_[i]->uncertain());
        }
    }
    std::string apply(Backup& backup, const Message& message) const {
        std::string failure = backup.apply(message);
        if (!failure.empty()) return failure;
        if (all_pages(backup.memory) != ram_) return "RAM differs";
        for (std::size_t i = 0; i < disk_count; ++i) {
            for (std::size_t at = 0; at < disk_bytes; ++at) {
                if (uncertain_[i][at / sector_size]) continue;
                if ((*backup.images[i])[at] != contents_[i][at])
                    return fmt::format("disk {} differs in sector {}", i, at / sector_size);
            }
        }
        return "";
    }
    void count(const OutgoingRecords& outgoing) {
        counts_.filled += outgoing.filled.size();
        for (const BlockRecord& record : outgoing.records) {
            if (record.op != BlockOp::write || record.failed) continue;
            ++(record.by_value ? counts_.by_value : counts_.by_reference);
            for (const Segment& segment : record.segments) {
                const PageIndex page = memory_.page_of(segment.address);
                if (std::ranges::binary_search(outgoing.filled, page)) ++counts_.from_filled;
            }
        }
        counts_.spanning += std::exchange(spanning_, 0);
    }

    GuestAddress address(std::uint64_t alignment) {
        const GuestAddress region = random_() % 2 == 0 ? GuestAddress(0) : second_region;
        return region + align_down(random_() % region_bytes, alignment);
    }
    static std::uint64_t room_behind(GuestAddress address) {
        const GuestAddress region = address < second_region ? GuestAddress(0) : second_region;
        return region_bytes - (address - region);
    }
    // Few values, so that the same bytes come again.
    std::uint8_t value() { return static_cast<std::uint8_t>(random_() % 3); }
    void store() {
        const bool whole = random_() % 2 == 0;
        const GuestAddress at = address(whole ? page_size : 1);
        const std::uint64_t length = whole ? page_size : 1 + random_() % 3000;
        FMVM_CHECK(memory_.write(at, Bytes(std::min(length, room_behind(at)), value())));
    }
    void copy_page() {
        const auto from = memory_.page(static_cast<PageIndex>(random_() % memory_.page_count()));
        FMVM_CHECK(memory_.write(address(page_size), Bytes(from.begin(), from.end())));
    }

    void submit() {
        Request& request = free_request();
        constexpr BlockOp ops[] = {BlockOp::read,  BlockOp::read,    BlockOp::read,
                                   BlockOp::write, BlockOp::write,   BlockOp::write,
                                   BlockOp::flush, BlockOp::discard, BlockOp::write_zeroes};
        request.op = ops[random_() % std::size(ops)];
        request.offset = request.length = 0;
        request.segments.clear();
        request.buffers.clear();
        if (request.op == BlockOp::read || request.op == BlockOp::write) {
            choose_segments(request);
        } else if (request.op != BlockOp::flush) {
            request.length = (1 + random_() % 16) * sector_size;
        }
        const std::uint64_t places = (disk_bytes - request.length) / sector_size + 1;
        if (request.op != BlockOp::flush) request.offset = random_() % places * sector_size;
        request.busy = true;
        request.owner = this;
        ++busy_;
        RecordingBackend& disk = *disks_[random_() % disk_count];
        disk.submit(request);
        disk.flush_submissions();
    }
    // Whole pages, or pieces of any size that make up whole sectors.
    void choose_segments(Request& request) {
        const bool whole = random_() % 3 != 0;
        std::uint64_t left =
            whole ? page_size * (1 + random_() % 3) : sector_size * (1 + random_() % 6);
        for (request.length = left; left != 0;) {
            const GuestAddress at = address(whole ? page_size : 1);
            const std::uint64_t part = std::min(left, room_behind(at));
            const std::uint64_t length = whole ? part : 1 + random_() % part;
            request.segments.push_back({at, static_cast<std::uint32_t>(length)});
            request.buffers.push_back({memory_.host_range(at, length), length});
            left -= length;
        }
    }
    Request& free_request() {
        for (Request& request : requests_) {
            if (!request.busy) return request;
        }
        return requests_.emplace_back();
    }
    void complete(BlockOperation& operation, BlockStatus) override {
        if (operation.op == BlockOp::read && !std::exchange(operation.accounted, false)) {
            for (const Segment& segment : operation.segments)
                memory_.mark_dirty(segment.address, segment.length);
        }
        static_cast<Request&>(operation).busy = false;
        --busy_;
    }

    Random random_;
    const std::uint64_t stores_ = random_() % 25;  // of 100 steps
    Counts& counts_;
    EventLoop loop_;  // never started
    GuestMemory memory_ = make_memory();
    std::optional<BlockLog> log_;
    std::vector<SlowDisk*> slow_;
    std::vector<std::unique_ptr<RecordingBackend>> disks_;
    std::deque<Request> requests_;
    std::size_t busy_ = 0;

    // As of the last cut.
    BlockLog::Epoch epoch_;
    PageCopies staged_;
    Bytes ram_;
    std::vector<Bytes> contents_;
    std::vector<std::vector<bool>> uncertain_;
    std::uint64_t spanning_ = 0;
};

inline std::string live_through(std::uint64_t seed, Counts& counts) {
    Primary primary(seed, counts);
    Random random(~seed);
    for (unsigned session = 0; session < 2; ++session) {
        for (std::uint64_t steps = random() % 60; steps != 0; --steps)
            primary.step();
        Backup backup(seed);
        std::string failure = primary.begin(backup);
        for (unsigned cut = 0; cut < 10 && failure.empty(); ++cut) {
            for (std::uint64_t steps = random() % 60; steps != 0; --steps)
                primary.step();
            failure = primary.cut_and_apply(backup);
        }
        if (failure.empty() && session == 1) failure = primary.finish(backup);
        if (!failure.empty()) return failure;
        primary.end();
    }
    return "";
}

}  // namespace fmvm::replay::model
