// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <latch>
#include <thread>

#include "lockstep/arbiter/arbiter.h"
#include "lockstep/arbiter/arbiter_record.h"
#include "support/temp_directory.h"

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

constexpr VmId vm_a{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                    0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

// For thousands of fsyncs.
std::string memory_directory() {
    return std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
}

struct FileArbiterBench {
    explicit FileArbiterBench(const std::string& parent = "/tmp") : directory(parent) {}
    std::unique_ptr<Arbiter> make(const std::string& side, const VmId& vm = vm_a) const {
        return create_file_arbiter(directory.file("vm"), vm, side).value();
    }
    test::TempDirectory directory;
    std::unique_ptr<Arbiter> alpha = make("alpha");
    std::unique_ptr<Arbiter> beta = make("beta");
};

std::string error_of(const auto& result) {
    return result.ok() ? "no error" : result.error().message();
}

// Claims 1, 2, 3, ... against others who do the same; what was won comes back.
std::vector<Generation> race(Arbiter& arbiter, Generation last) {
    std::vector<Generation> won;
    for (Generation generation = 1; generation <= last; ++generation) {
        if (arbiter.claim(generation).value() == Claim::won) won.push_back(generation);
    }
    return won;
}

}  // namespace

TEST_CASE("file arbiter: claims are for their owner only", "[arbiter]") {
    const FileArbiterBench bench;
    REQUIRE(bench.alpha->claim(1).value() == Claim::won);
    struct stat info {};
    REQUIRE(::lstat(bench.directory.file("vm.1").c_str(), &info) == 0);
    CHECK(info.st_mode == (S_IFREG | 0600));
}

TEST_CASE("file arbiter: first come, only winner", "[arbiter]") {
    const FileArbiterBench bench;
    CHECK(bench.alpha->newest().value() == 0);
    CHECK(bench.alpha->is_newest(0).value());
    CHECK(bench.alpha->claim(1).value() == Claim::won);
    CHECK(bench.beta->claim(1).value() == Claim::lost);
    CHECK(bench.beta->newest().value() == 1);
    CHECK(bench.alpha->is_newest(1).value());
    CHECK_FALSE(bench.beta->is_newest(0).value());
    CHECK(bench.beta->claim(2).value() == Claim::won);
    CHECK_FALSE(bench.alpha->is_newest(1).value());
    CHECK(bench.directory.count() == 2);  // no drafts are left behind
}

TEST_CASE("file arbiter: a claim won before is won again, until somebody goes on", "[arbiter]") {
    const FileArbiterBench bench;
    CHECK(bench.alpha->claim(1).value() == Claim::won);
    CHECK(bench.alpha->claim(1).value() == Claim::won);
    CHECK(bench.make("alpha")->claim(1).value() == Claim::won);  // after a lost answer
    CHECK(bench.beta->claim(2).value() == Claim::won);
    CHECK(bench.alpha->claim(1).value() == Claim::lost);
    CHECK(bench.alpha->claim(0).value() == Claim::lost);
    CHECK(bench.alpha->claim(2).value() == Claim::lost);
}

TEST_CASE("file arbiter: a newer claim of our own does not supersede us", "[arbiter]") {
    const FileArbiterBench bench;
    CHECK(bench.alpha->claim(1).value() == Claim::won);
    CHECK(bench.alpha->claim(2).value() == Claim::won);
    CHECK(bench.alpha->is_newest(1).value());  // the answer to the second may still be on its way
    CHECK_FALSE(bench.beta->is_newest(1).value());
    CHECK(bench.beta->claim(3).value() == Claim::won);
    CHECK_FALSE(bench.alpha->is_newest(1).value());
    CHECK_FALSE(bench.alpha->is_newest(2).value());
}

TEST_CASE("file arbiter: generations have no gaps", "[arbiter]") {
    const FileArbiterBench bench;
    CHECK(bench.alpha->claim(1).ok());
    CHECK(error_of(bench.beta->claim(3)).find("is gone") != std::string::npos);
    CHECK_FALSE(bench.beta->claim(~Generation{0}).ok());
    CHECK(bench.alpha->newest().value() == 1);
}

TEST_CASE("file arbiter: an orderly end is on record", "[arbiter]") {
    const FileArbiterBench bench;
    CHECK_FALSE(bench.alpha->has_ended(0).value());
    CHECK_FALSE(bench.alpha->mark_ended(1).ok());
    CHECK(bench.alpha->claim(1).ok());
    CHECK_FALSE(bench.beta->has_ended(1).value());
    CHECK(bench.alpha->mark_ended(1).ok());
    CHECK(bench.alpha->mark_ended(1).ok());
    CHECK(bench.beta->has_ended(1).value());
    CHECK(bench.beta->newest().value() == 1);  // the mark is no claim
    CHECK(bench.beta->claim(2).value() == Claim::won);
    CHECK_FALSE(bench.alpha->has_ended(2).value());
    CHECK_FALSE(bench.alpha->has_ended(3).ok());
}

TEST_CASE("file arbiter: what is in a claim", "[arbiter]") {
    const FileArbiterBench bench;
    CHECK(bench.alpha->claim(1).ok());
    const std::string text = bench.directory.read("vm.1");
    CHECK(
        text.starts_with("fmvm-arbiter 1 claim\nvm 00112233445566778899aabbccddeeff\n"
                         "generation 1\nside alpha\ntime "));
    const ArbiterRecord record = ArbiterRecord::parse(text).value();
    CHECK(record.vm == vm_a);
    CHECK(record.generation == 1);
    CHECK(record.text() == text);
}

TEST_CASE("file arbiter: another VM's path is refused", "[arbiter]") {
    const FileArbiterBench bench;
    CHECK(bench.alpha->claim(1).ok());
    const VmId other{1};
    const auto refused = create_file_arbiter(bench.directory.file("vm"), other, "alpha");
    CHECK(error_of(refused).find("belongs to another virtual machine") != std::string::npos);
    // Two VMs may share a directory.
    CHECK(create_file_arbiter(bench.directory.file("vm.1"), other, "alpha").value()->claim(1).ok());
    CHECK(bench.beta->newest().value() == 1);
}

TEST_CASE("file arbiter: a foreign or damaged file is an error, never a claim", "[arbiter]") {
    const FileArbiterBench bench;
    const std::string good = ArbiterRecord{ArbiterRecord::Kind::claim, vm_a, 1, "x", 5}.text();
    const std::string cases[] = {"",
                                 "hello\n",
                                 std::string(100000, 'x'),
                                 good.substr(1),
                                 good.substr(0, good.size() - 1),
                                 ArbiterRecord{ArbiterRecord::Kind::ended, vm_a, 1, "x", 5}.text(),
                                 ArbiterRecord{ArbiterRecord::Kind::claim, vm_a, 2, "x", 5}.text()};
    for (const std::string& text : cases) {
        bench.directory.write("vm.1", text);
        CHECK(error_of(bench.alpha->newest()).find("is not what fmvm wrote") != std::string::npos);
        CHECK_FALSE(bench.alpha->claim(1).ok());
        CHECK_FALSE(bench.alpha->claim(2).ok());
    }
    bench.directory.write("vm.1", good);
    CHECK(bench.alpha->claim(1).value() == Claim::lost);
}

TEST_CASE("file arbiter: nothing that lies there makes anybody wait", "[arbiter]") {
    const FileArbiterBench bench;
    REQUIRE(::mkfifo(bench.directory.file("vm.1").c_str(), 0600) == 0);
    CHECK(error_of(bench.alpha->newest()).find("is a FIFO, not a file") != std::string::npos);
    CHECK_FALSE(bench.alpha->claim(1).ok());
}

TEST_CASE("file arbiter: other names are not claims", "[arbiter]") {
    const FileArbiterBench bench;
    for (const char* name : {"vm", "vm.", "vm.0", "vm.01", "vm.-1", "vm.1x", "vm.1.ended.bak",
                             "vm.99999999999999999999999", "vm2.7", "other.7", "vm.7.draft-00"}) {
        bench.directory.write(name, "x");
    }
    CHECK(bench.alpha->newest().value() == 0);
    CHECK(bench.alpha->claim(1).value() == Claim::won);
}

TEST_CASE("file arbiter: a directory that others may write to is refused", "[arbiter]") {
    const test::TempDirectory directory;
    const auto refusal = [&](std::filesystem::perms perms) {
        std::filesystem::permissions(directory.path(), perms);
        return error_of(create_file_arbiter(directory.file("vm"), vm_a, "alpha"));
    };
    using std::filesystem::perms;
    CHECK_THAT(refusal(perms::all), Catch::Contains("a directory that everybody may write to"));
    CHECK_THAT(refusal(perms::all | perms::sticky_bit),
               Catch::Contains("decides who runs the guest"));
    CHECK(refusal(perms::owner_all) == "no error");
}

TEST_CASE("file arbiter: junk among the claims is told, in printable ASCII", "[arbiter]") {
    const test::TempDirectory directory;
    for (const char* name : {"vm.1.draft-00", "vm.1.ended", "vm.1.ended.draft-00", "other.x",
                             "vm.trial-00", "vm.trial-00.draft-00"})
        directory.write(name, "x");
    CHECK(file_arbiter_junk(directory.file("vm")).value().empty());
    for (const char* name : {"vm.99999999999999999999\xc2\x9b", "vm.01", "vm.2.draft", "vm."})
        directory.write(name, "x");
    std::vector<std::string> junk = file_arbiter_junk(directory.file("vm")).value();
    std::ranges::sort(junk);
    CHECK(junk ==
          std::vector<std::string>{"vm.", "vm.01", "vm.2.draft", "vm.99999999999999999999??"});
    CHECK_FALSE(file_arbiter_junk(directory.file("no/vm")).ok());
}

TEST_CASE("file arbiter: a medium that is gone is not consent", "[arbiter]") {
    const FileArbiterBench bench;
    CHECK(bench.alpha->claim(1).ok());
    const std::string aside = bench.directory.path() + ".aside";
    std::filesystem::rename(bench.directory.path(), aside);
    CHECK_FALSE(bench.alpha->is_newest(1).ok());
    CHECK_FALSE(bench.alpha->is_newest(0).ok());
    CHECK_FALSE(bench.alpha->newest().ok());
    CHECK_FALSE(bench.alpha->claim(2).ok());
    CHECK_FALSE(bench.alpha->has_ended(1).ok());
    // An empty mount point in its place.
    std::filesystem::create_directory(bench.directory.path());
    CHECK(error_of(bench.alpha->is_newest(1)).find("is gone") != std::string::npos);
    CHECK_FALSE(bench.alpha->claim(2).ok());
    std::filesystem::remove(bench.directory.path());
    // A file in its place.
    std::ofstream(bench.directory.path()) << "x";
    CHECK_FALSE(bench.alpha->is_newest(1).ok());
    std::filesystem::remove(bench.directory.path());
    std::filesystem::rename(aside, bench.directory.path());
    CHECK(bench.alpha->is_newest(1).value());
}

TEST_CASE("file arbiter: names that cannot work are refused at once", "[arbiter]") {
    const test::TempDirectory directory;
    CHECK_FALSE(create_file_arbiter("", vm_a, "alpha").ok());
    CHECK_FALSE(create_file_arbiter(directory.path() + "/", vm_a, "alpha").ok());
    CHECK_FALSE(create_file_arbiter(directory.file("no/vm"), vm_a, "alpha").ok());
    CHECK_FALSE(create_file_arbiter(directory.file("vm"), vm_a, "").ok());
    CHECK_FALSE(create_file_arbiter(directory.file("vm"), vm_a, "a\nb").ok());
    CHECK_FALSE(create_file_arbiter(directory.file("vm"), vm_a, std::string(201, 'a')).ok());
    CHECK(create_file_arbiter(directory.file("vm"), vm_a, std::string(200, 'a'))
              .value()
              ->claim(1)
              .value() == Claim::won);
}

TEST_CASE("file arbiter: threads race, each generation has one winner", "[arbiter][threads]") {
    constexpr Generation last = 300;
    constexpr std::size_t sides = 4;
    const FileArbiterBench bench(memory_directory());
    std::array<std::atomic<int>, last + 1> wins{};
    std::latch start(sides);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < sides; ++i) {
        threads.emplace_back([&, arbiter = bench.make(fmt::format("side {}", i))] {
            start.arrive_and_wait();
            for (const Generation generation : race(*arbiter, last))
                ++wins[generation];
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(std::count(wins.begin() + 1, wins.end(), 1) == last);
}

TEST_CASE("file arbiter: two processes race, each generation has one winner", "[arbiter]") {
    constexpr Generation last = 1000;
    const FileArbiterBench bench(memory_directory());
    const std::string child_log = bench.directory.file("child");
    const pid_t child = ::fork();
    if (child == 0) {
        std::ofstream log(child_log);
        for (const Generation generation : race(*bench.beta, last))
            log << generation << '\n';
        log.close();
        ::_exit(0);
    }
    std::vector<Generation> won = race(*bench.alpha, last);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(status == 0);
    const std::size_t mine = won.size();
    std::ifstream log(child_log);
    for (Generation generation; log >> generation;)
        won.push_back(generation);
    INFO("parent " << mine << ", child " << won.size() - mine);
    std::sort(won.begin(), won.end());
    REQUIRE(won.size() == last);
    for (Generation generation = 1; generation <= last; ++generation)
        CHECK(won[generation - 1] == generation);
    CHECK(bench.alpha->newest().value() == last);
}

TEST_CASE("file arbiter: the claims tell whose they are", "[arbiter]") {
    const FileArbiterBench bench;
    const std::string path = bench.directory.file("vm");
    CHECK(!file_arbiter_owner(path).value().has_value());
    REQUIRE(bench.alpha->claim(1).value() == Claim::won);
    CHECK(file_arbiter_owner(path).value() == vm_a);
    REQUIRE(bench.alpha->claim(2).value() == Claim::won);
    CHECK(file_arbiter_owner(path).value() == vm_a);
    bench.directory.write("vm.3", "not a claim");
    CHECK_FALSE(file_arbiter_owner(path).ok());
    CHECK_FALSE(file_arbiter_owner(bench.directory.file("nowhere/vm")).ok());
}

TEST_CASE("no arbiter: every claim is won", "[arbiter]") {
    const auto arbiter = create_no_arbiter();
    CHECK(arbiter->newest().value() == 0);
    CHECK(arbiter->claim(7).value() == Claim::won);
    CHECK(arbiter->claim(7).value() == Claim::won);
    CHECK(arbiter->newest().value() == 7);
    CHECK(arbiter->is_newest(1).value());
    CHECK_FALSE(arbiter->has_ended(7).value());
    CHECK(arbiter->mark_ended(7).ok());
    CHECK(arbiter->has_ended(7).value());
}

TEST_CASE("file arbiter: a claim is tried out without changing what was claimed", "[arbiter]") {
    const FileArbiterBench bench;
    const auto files = [&] {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(bench.directory.path()))
            names.push_back(entry.path().filename());
        std::ranges::sort(names);
        return names;
    };
    CHECK(bench.alpha->could_claim().ok());
    CHECK(files().empty());
    REQUIRE(bench.alpha->claim(1).value() == Claim::won);
    const auto before = files();
    CHECK(bench.alpha->could_claim().ok());
    CHECK(bench.beta->could_claim().ok());
    CHECK(files() == before);
    CHECK(bench.beta->newest().value() == 1);
    CHECK(bench.beta->claim(2).value() == Claim::won);
}

TEST_CASE("file arbiter: a trial says what would be in the way of a claim", "[arbiter]") {
    const FileArbiterBench bench;
    REQUIRE(bench.alpha->claim(1).value() == Claim::won);
    SECTION("it holds something else") {
        std::ofstream(bench.directory.file("vm.2")) << "junk";
        CHECK_THAT(error_of(bench.alpha->could_claim()), Catch::Contains("is not what fmvm wrote"));
    }
    SECTION("it is full") {
        rlimit before{};
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
        const auto handler = std::signal(SIGXFSZ, SIG_IGN);
        const rlimit none{0, before.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &none) == 0);
        const Result<void> tried = bench.alpha->could_claim();
        ::setrlimit(RLIMIT_FSIZE, &before);
        std::signal(SIGXFSZ, handler);
        CHECK_THAT(error_of(tried), Catch::Contains("make its directory available"));
    }
    SECTION("it is away") {
        std::filesystem::remove_all(bench.directory.path());
        CHECK_THAT(error_of(bench.alpha->could_claim()), Catch::Contains("cannot be read"));
    }
}
