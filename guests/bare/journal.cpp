// SPDX-License-Identifier: Apache-2.0
// Numbered, checksummed records on a virtio disk. A record is written, flushed and read back; only
// then its line goes to the console, so that whoever sees `journal <n> <crc>` may hold the disk to
// it. check-journal is the reader on the host's side; the layout is Record, below.
#include <optional>

#include "lib/block_device.h"
#include "lib/boot_info.h"
#include "lib/checksum.h"
#include "lib/clock.h"
#include "lib/guest.h"
#include "lib/memory.h"
#include "lib/serial.h"

namespace bare {

constinit const std::string_view guest_name = "journal";

namespace {

constexpr uint64_t kMagic = 0x314c4e524a4d5646;  // "FVMJRNL1" in memory order
constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
constexpr uint32_t kScanChunk = 256 << 10;
constexpr uint8_t kPoison = 0xa5;
constexpr uint64_t kRetryUs = 20000;

struct Record {
    uint64_t magic;
    uint64_t journal;  // id=
    uint64_t number;   // from 1
    uint32_t size;     // of the whole record
    uint32_t crc;      // of the whole record with this field zero
    uint64_t payload[];
};

struct DiskError {
    std::string_view request;
    BlockStatus status;
};

class Journal {
  public:
    Journal(BlockDevice& device, uint64_t id, uint32_t size)
        : device_(device),
          id_(id),
          size_(size),
          places_(device.sectors() * kSectorSize / size),
          record_(reinterpret_cast<Record*>(allocate_pages(size))),
          check_(reinterpret_cast<Record*>(allocate_pages(size))) {
        if (places_ == 0) fail("the disk does not hold one record");
        if (!device.can_flush()) fail("the disk cannot flush");
    }

    uint64_t last() const { return last_; }

    // Finds the last intact record, and sees to it that none is missing before it.
    void resume() {
        auto* numbers = allocate<uint64_t>(places_);
        const auto chunk = allocate_pages(kScanChunk > size_ ? kScanChunk : size_);
        const uint64_t per_chunk = kScanChunk > size_ ? kScanChunk / size_ : 1;
        for (uint64_t place = 0; place < places_; place += per_chunk) {
            const uint64_t count = places_ - place < per_chunk ? places_ - place : per_chunk;
            device_.must(BlockOperation::kRead, sector(place), chunk,
                         static_cast<uint32_t>(count * size_));
            for (uint64_t i = 0; i < count; ++i) {
                const uint64_t number = intact(reinterpret_cast<Record*>(chunk + i * size_));
                numbers[place + i] = number;
                if (number > last_) last_ = number;
            }
        }
        for (uint64_t number = oldest(); number <= last_; ++number) {
            if (numbers[place_of(number)] != number)
                fail(Text() << "record " << number << " is lost");
        }
    }

    // Makes the next record and puts it on the disk; what went wrong, if something did: then
    // nobody knows whether it is there, and the next call begins again.
    std::optional<DiskError> append(bool read_back) {
        const uint64_t number = last_ + 1;
        make(number);
        const uint64_t where = sector(place_of(number));
        const auto bytes = reinterpret_cast<uint64_t>(record_);
        BlockStatus status = device_.run(BlockOperation::kWrite, where, bytes, size_);
        if (status != BlockStatus::kOk) return DiskError{"write", status};
        status = device_.run(BlockOperation::kFlush, 0, 0, 0);
        if (status != BlockStatus::kOk) return DiskError{"flush", status};
        if (read_back) {
            status = verify(number, record_->crc);
            if (status != BlockStatus::kOk) return DiskError{"read", status};
        }
        last_ = number;
        return std::nullopt;
    }

    // Of the last record that was made.
    uint32_t crc() const { return record_->crc; }

    // Reads all that the disk still holds; returns how many records that is.
    uint64_t verify_all() {
        for (uint64_t number = oldest(); number <= last_; ++number) {
            make(number);
            if (verify(number, record_->crc) != BlockStatus::kOk)
                fail(Text() << "record " << number << " cannot be read");
        }
        return last_ + 1 - oldest();
    }

  private:
    uint64_t place_of(uint64_t number) const { return (number - 1) % places_; }
    uint64_t sector(uint64_t place) const { return place * (size_ / kSectorSize); }
    // A place beyond `last_` may hold a torn record, and with it the oldest is gone.
    uint64_t oldest() const { return last_ < places_ ? 1 : last_ + 2 - places_; }

    uint32_t checksum(Record* record) const {
        const uint32_t kept = record->crc;
        record->crc = 0;
        const uint32_t crc = crc32(record, size_);
        record->crc = kept;
        return crc;
    }

    void make(uint64_t number) {
        *record_ = {kMagic, id_, number, size_, 0};
        const uint64_t start = mix(id_ << 40 ^ number);
        for (uint64_t i = 0; i < (size_ - sizeof(Record)) / 8; ++i) {
            record_->payload[i] = mix(start + i * kOdd);
        }
        record_->crc = checksum(record_);
    }

    // The number of an intact record of this journal, else 0.
    uint64_t intact(Record* record) const {
        if (record->magic != kMagic || record->journal != id_ || record->size != size_) return 0;
        return checksum(record) == record->crc ? record->number : 0;
    }

    // A record that can be read is the right one.
    BlockStatus verify(uint64_t number, uint32_t crc) {
        fill(check_, kPoison, size_);
        const BlockStatus status = device_.run(BlockOperation::kRead, sector(place_of(number)),
                                               reinterpret_cast<uint64_t>(check_), size_);
        if (status != BlockStatus::kOk) return status;
        if (intact(check_) == number && check_->crc == crc) return status;
        fail(Text() << "record " << number << " reads back wrong");
    }

    BlockDevice& device_;
    uint64_t id_;
    uint32_t size_;
    uint64_t places_;  // record n lives in place (n - 1) modulo this
    Record* record_;
    Record* check_;
    uint64_t last_ = 0;
};

void print(uint64_t number, uint32_t crc) {
    serial.write((Text() << "journal " << number << ' ' << Hex{crc, 8} << '\n').view());
}

void report(const DiskError& error, uint64_t number, bool retry) {
    Text text;
    text << "record " << number << ": the " << error.request << " ended with status "
         << static_cast<uint32_t>(error.status);
    if (!retry) fail(text);
    serial.write((Text() << "journal: " << text.view() << ", tried again\n").view());
}

}  // namespace

void run(const Options& options, Text& summary) {
    const Clock clock(options);
    const uint64_t size = options.number("size", 4096);
    if (size < kSectorSize || size > (1 << 20) || size % kSectorSize != 0) {
        fail("size= is a multiple of 512, at most 1M");
    }
    const DeviceList devices(options);
    BlockDevice device(devices.find(DeviceKind::kBlock, options.number("disk", 0)), {});
    Journal journal(device, options.number("id", 1), static_cast<uint32_t>(size));
    if (options.flag("resume")) journal.resume();
    serial.write((Text() << "journal: after " << journal.last() << '\n').view());

    const uint64_t count = options.number("count", 0);
    const uint64_t rate = options.number("rate", 0);
    const uint64_t period = rate == 0 ? 0 : clock.period(rate);
    const bool read_back = options.flag("readback", true);
    const bool retry = options.flag("retry");
    uint64_t due = rdtsc();
    for (uint64_t done = 0; count == 0 || done < count; ++done) {
        while (const std::optional<DiskError> error = journal.append(read_back)) {
            report(*error, journal.last() + 1, retry);
            clock.sleep_until(rdtsc() + clock.ticks_from_us(kRetryUs));
        }
        print(journal.last(), journal.crc());
        due += period;
        if (period != 0) clock.sleep_until(due);
    }
    summary << "last=" << journal.last() << " verified=" << journal.verify_all();
}

}  // namespace bare
