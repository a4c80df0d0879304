// SPDX-License-Identifier: Apache-2.0
#include "lockstep/stats/epoch_stats.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "support/pipe.h"
#include "support/temp_directory.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

namespace {

EpochRecord make_record(EpochId epoch) {
    EpochRecord record;
    record.epoch = epoch;
    record.interval = 20ms;
    record.cut.stood = std::chrono::microseconds(100 * epoch);
    record.cut.copy = 50us;
    record.cut.pages_found = 7;
    record.pages.records = 5;
    record.pages.delta = 3;
    record.pages.filled = 4;
    record.pages.lz4 = 2;
    record.blocks = {9, 8192, 512, 4096, 800};
    record.bytes = 1000 + epoch;
    record.output_bytes = 12;
    record.acknowledged = 1500us;
    return record;
}

}  // namespace

TEST_CASE("epoch stats: nothing before the first epoch", "[stats]") {
    CHECK(EpochStats().summary().empty());
}

TEST_CASE("epoch stats: percentiles over the last epochs only", "[stats]") {
    EpochStats stats;
    for (EpochId epoch = 1; epoch <= EpochStats::window + 500; ++epoch)
        stats.add(make_record(epoch));
    const std::string text = stats.summary();
    CHECK(text.find("1500 epochs; the last 1000") != std::string::npos);
    const std::size_t at = text.find("guest stood");
    REQUIRE(at != std::string::npos);
    const std::string line = text.substr(at, text.find('\n', at) - at);
    CHECK(line.find("p50    100000") != std::string::npos);  // of epochs 501 to 1500
    CHECK(line.find("max    150000") != std::string::npos);
}

TEST_CASE("epoch stats: a line of JSON per epoch", "[stats]") {
    const fmvm::test::TempFile file;
    EpochStats stats;
    REQUIRE(stats.trace_to(file.path()).ok());
    stats.add(make_record(1));
    stats.add(make_record(2));
    std::ifstream lines(file.path());
    std::string line;
    for (EpochId epoch = 1; epoch <= 2; ++epoch) {
        REQUIRE(std::getline(lines, line));
        const auto object = nlohmann::json::parse(line);
        CHECK(object["epoch"] == epoch);
        CHECK(object["interval_us"] == 20000);
        CHECK(object["stood_us"] == 100 * epoch);
        CHECK(object["pages_delta"] == 3);
        CHECK(object["pages_filled"] == 4);
        CHECK(object["pages_lz4"] == 2);
        CHECK(object["disk_records"] == 9);
        CHECK(object["disk_referred"] == 8192);
        CHECK(object["disk_sent"] == 512);
        CHECK(object["disk_read"] == 4096);
        CHECK(object["disk_log"] == 800);
        CHECK(object["bytes"] == 1000 + epoch);
        CHECK(object["ack_us"] == 1500);
    }
    CHECK_FALSE(std::getline(lines, line));
    CHECK_FALSE(stats.trace_to("/nonexistent/trace").ok());
    REQUIRE(stats.trace_to(file.path()).ok());  // instead of the one before
    CHECK(std::ifstream(file.path()).get() == std::ifstream::traits_type::eof());
    CHECK(EpochStats().trace_to("/dev/null").ok());
}

TEST_CASE("epoch stats: no trace is written over anything else", "[stats]") {
    const fmvm::test::TempFile file;
    std::ofstream(file.path()) << "a disk image, say";
    EpochStats stats;
    const auto refused = stats.trace_to(file.path());
    REQUIRE_FALSE(refused.ok());
    CHECK_THAT(refused.error().message(), Catch::Contains("is not a trace"));
    std::string kept;
    std::getline(std::ifstream(file.path()) >> std::ws, kept);
    CHECK(kept == "a disk image, say");
}

TEST_CASE("epoch stats: a trace is made for its owner only", "[stats]") {
    const fmvm::test::TempDirectory directory;
    REQUIRE(EpochStats().trace_to(directory.file("trace")).ok());
    struct stat info {};
    REQUIRE(::lstat(directory.file("trace").c_str(), &info) == 0);
    CHECK(info.st_mode == (S_IFREG | 0600));
}

// A pipe that nobody reads is as full as a disk can be.
TEST_CASE("epoch stats: a trace that cannot be written any more ends", "[stats]") {
    log::set_level(log::Level::error);
    Pipe pipe;
    pipe.resize(4096);
    EpochStats stats;
    REQUIRE(stats.trace_to("/proc/self/fd/" + std::to_string(pipe.write_end.get())).ok());
    for (EpochId epoch = 1; epoch <= 100; ++epoch)
        stats.add(make_record(epoch));
    const std::string lines = pipe.read_some(1 << 20);
    CHECK(lines.starts_with("{\"epoch\":1,"));
    CHECK(lines.size() <= 4096);
    stats.add(make_record(101));
    CHECK(::fcntl(pipe.read_end.get(), F_SETFL, O_NONBLOCK) == 0);
    char byte = 0;
    CHECK(::read(pipe.read_end.get(), &byte, 1) < 0);
    log::set_level(log::Level::notice);
}
