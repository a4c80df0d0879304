// SPDX-License-Identifier: Apache-2.0
// Keeps rewriting a working set, verifying on every pass what the pass before wrote; and a
// stopwatch: the largest gap between two consecutive steps is the silence that the guest has seen.
#include "lib/boot_info.h"
#include "lib/checksum.h"
#include "lib/clock.h"
#include "lib/cpu.h"
#include "lib/guest.h"
#include "lib/serial.h"

namespace bare {

constinit const std::string_view guest_name = "dirty";

namespace {

constexpr uint64_t kPageSize = 4096;
constexpr uint64_t kWord = sizeof(uint64_t);
constexpr uint64_t kSmallestNapUs = 2000;
constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;

class Stopwatch {
  public:
    void lap() {
        const uint64_t now = rdtsc();
        if (now - last_ > gap_) gap_ = now - last_;
        last_ = now;
        ++laps_;
    }
    // Leaves out a wanted sleep that should have ended at `due`.
    void skip_to(uint64_t due) {
        if (due > last_) last_ = due;
        lap();
    }
    // The largest gap since the last report; the largest of all stays in largest().
    uint64_t take_gap() {
        const uint64_t gap = gap_;
        if (gap > largest_) largest_ = gap;
        gap_ = 0;
        return gap;
    }
    uint64_t largest() const { return largest_; }
    uint64_t now() const { return last_; }
    uint64_t laps() const { return laps_; }

  private:
    uint64_t last_ = rdtsc();
    uint64_t gap_ = 0;
    uint64_t largest_ = 0;
    uint64_t laps_ = 0;
};

class WorkingSet {
  public:
    WorkingSet(uint64_t bytes, uint64_t touch)
        : base_(reinterpret_cast<uint64_t*>(allocate_pages(bytes))),
          pages_(bytes / kPageSize),
          words_(touch / kWord) {}

    uint64_t pages() const { return pages_; }
    uint64_t pass() const { return pass_; }
    uint64_t checksum() const { return checksum_; }

    // Verifies and rewrites the next page. After the last one the sums of what was written and of
    // what the next pass reads must agree, too.
    void step() {
        uint64_t* page = base_ + page_ * kPageSize / kWord;
        const uint64_t before = mix((pass_ - 1) << 32 | page_);
        const uint64_t after = mix(pass_ << 32 | page_);
        for (uint64_t i = 0; i < words_; ++i) {
            const uint64_t found = page[i];
            if (pass_ > 1 && found != before + i * kOdd)
                mismatch(page + i, found, before + i * kOdd);
            read_sum_ += found;
            page[i] = after + i * kOdd;
            written_sum_ += after + i * kOdd;
        }
        if (++page_ == pages_) finish_pass();
    }

  private:
    void finish_pass() {
        if (pass_ > 1 && read_sum_ != expected_sum_)
            fail(Text() << "checksum differs in pass " << pass_);
        expected_sum_ = written_sum_;
        checksum_ = mix(checksum_ ^ written_sum_);
        read_sum_ = written_sum_ = page_ = 0;
        ++pass_;
    }

    [[noreturn]] void mismatch(const uint64_t* where, uint64_t found, uint64_t expected) {
        fail(Text() << "memory at 0x" << Hex{reinterpret_cast<uint64_t>(where)} << " pass " << pass_
                    << " is 0x" << Hex{found} << " not 0x" << Hex{expected});
    }

    uint64_t* base_;
    uint64_t pages_, words_;
    uint64_t page_ = 0;
    uint64_t pass_ = 1;
    uint64_t read_sum_ = 0, written_sum_ = 0, expected_sum_ = 0;
    uint64_t checksum_ = 0;
};

struct Limits {
    uint64_t passes;       // 0 = no limit
    uint64_t end;          // TSC, 0 = no limit
    uint64_t page_period;  // ticks per page, 0 = as fast as possible
    uint64_t report_period;
};

Limits read_limits(const Options& options, const Clock& clock, uint64_t start) {
    const uint64_t rate = options.number("rate", 0);
    const uint64_t seconds = options.number("seconds", 0);
    return {options.number("passes", 0),
            seconds == 0 ? 0 : start + clock.ticks_from_us(seconds * 1000000),
            rate == 0 ? 0 : clock.period(rate * 256),
            clock.ticks_from_us(options.number("report_ms", 1000) * 1000)};
}

void report(const WorkingSet& set, Stopwatch& watch, const Clock& clock) {
    const uint64_t gap = watch.take_gap();
    Text line;
    line << "dirty pass=" << set.pass() - 1 << " tsc=" << watch.now() << " gap_us=" << clock.us(gap)
         << " gap_max_us=" << clock.us(watch.largest()) << " sum=" << Hex{set.checksum(), 16}
         << " laps=" << watch.laps() << '\n';
    // Byte by byte, each a step: a silence while the line goes out is seen as well.
    serial.write(line.view(), [&] { watch.lap(); });
}

void work(WorkingSet& set, const Limits& limits, Stopwatch& watch, const Clock& clock) {
    const uint64_t smallest_nap = clock.ticks_from_us(kSmallestNapUs);
    uint64_t page_due = watch.now();
    uint64_t report_due = watch.now() + limits.report_period;
    while ((limits.passes == 0 || set.pass() <= limits.passes) &&
           (limits.end == 0 || watch.now() < limits.end)) {
        if (set.pages() != 0) set.step();
        watch.lap();
        if (watch.now() >= report_due) {
            report(set, watch, clock);
            report_due += limits.report_period;
            if (report_due < watch.now()) report_due = watch.now() + limits.report_period;
        }
        page_due += limits.page_period;
        if (page_due > watch.now() + smallest_nap) {
            clock.sleep_until(page_due);
            watch.skip_to(page_due);
        } else if (page_due < watch.now()) {
            page_due = watch.now();  // late (or at full speed): no burst to catch up
        }
    }
}

}  // namespace

void run(const Options& options, Text& summary) {
    const Clock clock(options);
    const uint64_t mib = options.number("mib", 16);
    const uint64_t touch = options.number("bytes", kPageSize);
    if (touch > kPageSize || touch % kWord != 0) fail("bytes= is a multiple of 8, at most 4096");
    WorkingSet set(mib << 20, touch);
    serial.write((Text() << "dirty: tsc_khz=" << clock.khz() << " mib=" << mib << '\n').view());
    Stopwatch watch;
    work(set, read_limits(options, clock, watch.now()), watch, clock);
    watch.take_gap();
    summary << "passes=" << set.pass() - 1 << " gap_max_us=" << clock.us(watch.largest())
            << " sum=" << Hex{set.checksum(), 16};
}

}  // namespace bare
