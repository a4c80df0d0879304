// SPDX-License-Identifier: Apache-2.0
// Numbered lines on the serial port, each with TSC and checksum; and an echo of the lines it
// receives.
#include "lib/checksum.h"
#include "lib/clock.h"
#include "lib/cpu.h"
#include "lib/guest.h"
#include "lib/serial.h"

namespace bare {

constinit const std::string_view guest_name = "counter";

namespace {

void print_number(uint64_t number) {
    Text line;
    line << "counter " << number << ' ' << rdtsc();
    const uint32_t crc = crc32(line.view());
    line << ' ' << Hex{crc, 8} << '\n';
    serial.write(line.view());
}

// Collects received bytes into lines.
class Echo {
  public:
    // Takes a few of the bytes that have come, if any.
    bool serve() {
        char received[64];
        const uint32_t count = serial.read(received, sizeof received);
        for (uint32_t i = 0; i < count; ++i)
            take(received[i]);
        return count != 0;
    }

    bool quit() const { return quit_; }
    uint64_t lines() const { return lines_; }

  private:
    void take(char c) {
        if (c == '\r') return;
        if (c != '\n') {
            line_ << c;
            return;
        }
        quit_ = line_.view() == "quit";
        if (quit_) return;
        serial.write((Text() << "echo " << lines_ << ' ' << line_.view() << '\n').view());
        ++lines_;
        line_.clear();
    }

    Text line_;
    uint64_t lines_ = 0;
    bool quit_ = false;
};

void count_lines(uint64_t count, uint64_t rate, const Clock& clock) {
    const uint64_t period = rate == 0 ? 0 : clock.period(rate);
    uint64_t due = rdtsc();
    for (uint64_t number = 1; count == 0 || number <= count; ++number) {
        print_number(number);
        due += period;
        if (period != 0) clock.sleep_until(due);
    }
}

// Halted until a byte or, with a rate, the next line's time comes.
uint64_t echo_lines(uint64_t rate, const Clock& clock) {
    const uint64_t period = rate == 0 ? 0 : clock.period(rate);
    uint64_t due = rdtsc() + period;
    uint64_t number = 1;
    Echo echo;
    while (!echo.quit()) {
        const uint64_t seen = serial.interrupts();
        const bool busy = echo.serve();
        if (period != 0 && rdtsc() >= due) {
            print_number(number++);
            due += period;
        } else if (!busy && period == 0) {
            serial.wait(seen);
        } else if (!busy && serial.interrupts() == seen) {
            clock.nap_until(due);
        }
    }
    return echo.lines();
}

}  // namespace

void run(const Options& options, Text& summary) {
    const Clock clock(options);
    const uint64_t count = options.number("count", 0);
    const uint64_t rate = options.number("rate", 0);
    if (options.text("tx", "poll") == "irq") serial.use_transmit_interrupt();
    if (options.flag("echo")) {
        serial.use_receive_interrupt();
        serial.write("counter: echo ready\n");
        summary << "echoed=" << echo_lines(rate, clock);
    } else {
        serial.write((Text() << "counter: tsc_khz=" << clock.khz() << '\n').view());
        count_lines(count, rate, clock);
        summary << "count=" << count;
    }
}

}  // namespace bare
