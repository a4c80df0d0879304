// SPDX-License-Identifier: Apache-2.0
// kvm_tests "[measure]": where the time of a cut and of an epoch's check goes.
#include <algorithm>

#include "kvm/running_guest.h"

namespace fmvm::test {

TEST_CASE("how long check() takes", "[.measure]") {
    RunningGuest guest("blkload", "op=mixed depth=32 seconds=60 wait=irq", 32 * mib);
    guest.options.disks.front().direct = true;
    guest.build();
    guest.built.machine->start();
    RunningGuest other("blkload", "", 32 * mib);
    other.build();
    using Clock = std::chrono::steady_clock;
    std::vector<double> decode, check, again;
    const auto timed = [](std::vector<double>& values, auto work) {
        const auto start = Clock::now();
        work();
        values.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    };
    for (int i = 0; i < 300; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
        std::vector<std::uint8_t> bytes;
        {
            const QuiesceGuard guard = guest.built.machine->quiesce();
            bytes = require(guest.built.machine->save()).encode();
        }
        StateImage image;
        timed(decode, [&] { image = require(StateImage::decode(bytes)); });
        timed(check, [&] { require(other.built.machine->check(image)); });
        timed(again, [&] { require(other.built.machine->check(image)); });
    }
    const auto quantile = [](std::vector<double>& values, double part) {
        std::ranges::sort(values);
        return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
    };
    for (auto& [name, values] : {std::pair<const char*, std::vector<double>&>{"decode", decode},
                                 {"check", check},
                                 {"check of the same", again}}) {
        WARN(name << " us: least " << quantile(values, 0) << " median " << quantile(values, 0.5)
                  << " 90% " << quantile(values, 0.9));
    }
    guest.built.machine->request_end(GuestEnd::stopped);
}

TEST_CASE("how long the parts of save() take", "[.measure]") {
    RunningGuest guest("blkload", "op=mixed depth=32 seconds=60 wait=irq", 32 * mib);
    guest.options.cpus = 1;
    guest.build();
    Machine& machine = *guest.built.machine;
    machine.start();
    using Clock = std::chrono::steady_clock;
    std::vector<double> quiesce, save, encode;
    const auto us = [](Clock::duration d) {
        return std::chrono::duration<double, std::micro>(d).count();
    };
    for (int i = 0; i < 300; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
        const auto start = Clock::now();
        const QuiesceGuard guard = machine.quiesce();
        const auto stopped = Clock::now();
        const StateImage image = require(machine.save());
        const auto saved = Clock::now();
        const std::size_t size = image.encode().size();
        const auto encoded = Clock::now();
        quiesce.push_back(us(stopped - start));
        save.push_back(us(saved - stopped));
        encode.push_back(us(encoded - saved));
        if (i == 0) {
            WARN(size << " bytes");
            for (const StateSection& section : image.sections())
                WARN(section.name << ' ' << section.payload.size());
        }
    }
    const auto median = [](std::vector<double>& values) {
        std::ranges::sort(values);
        return values[values.size() / 2];
    };
    WARN("us, median: quiesce " << median(quiesce) << " save " << median(save) << " encode "
                                << median(encode));
    machine.request_end(GuestEnd::stopped);
}

}  // namespace fmvm::test
