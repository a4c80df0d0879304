// SPDX-License-Identifier: Apache-2.0
#include "lockstep/sentinel/emitter_locks.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <thread>

#include "base/units.h"
#include "support/hidden_test.h"
#include "support/pipe.h"
#include "support/robust_mutexes.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using End = EmitterLocks::End;

namespace {

// A process that can emit, watched from this one. Its threads begin after it was forked, so this
// process must have none: each test is in a process of its own.
class Emitter {
  public:
    // life: what its main thread does; it tells `ready` what it has come to, and `go_on` tells it
    // to go on.
    using Life = std::function<void(EmitterLocks&, const Pipe& ready, const Pipe& go_on)>;
    explicit Emitter(const Life& life) {
        // Its main thread must be the one that creates the locks, and this process shares them.
        watched_ = ::fork();
        REQUIRE(watched_ >= 0);
        if (watched_ != 0) return;
        const std::shared_ptr<EmitterLocks> locks = EmitterLocks::create().value();
        const pid_t watcher = ::fork();
        if (watcher == 0) watch(*locks);
        life(*locks, ready_, go_on_);
        std::exit(0);
    }
    ~Emitter() {
        ::kill(watched_, SIGKILL);
        ::waitpid(watched_, nullptr, 0);
    }

    // "died" or "orderly", from the process that watches; empty: it says nothing for long.
    std::string end() { return said_.read_some(16); }
    bool has_said_nothing() const { return is_empty(said_); }
    bool is_not_ready() const { return is_empty(ready_); }
    void wait_until_ready() const { REQUIRE(ready_.read_some(1) == "r"); }
    void let_go_on() const { REQUIRE(::write(go_on_.write_end.get(), "g", 1) == 1); }
    void kill() const { REQUIRE(::kill(watched_, SIGKILL) == 0); }
    pid_t pid() const { return watched_; }

  private:
    static bool is_empty(const Pipe& pipe) {
        pollfd query{pipe.read_end.get(), POLLIN, 0};
        return ::poll(&query, 1, 0) == 0;
    }
    [[noreturn]] void watch(EmitterLocks& locks) const {
        const std::string_view said = locks.wait_for_end() == End::died ? "died" : "orderly";
        ::_exit(::write(said_.write_end.get(), said.data(), said.size()) > 0 ? 0 : 1);
    }

    Pipe said_, ready_, go_on_;
    pid_t watched_ = -1;
};

void tell(const Pipe& ready) {
    FMVM_CHECK(::write(ready.write_end.get(), "r", 1) == 1);
}

void wait_for_word(const Pipe& go_on) {
    FMVM_CHECK(go_on.read_some(1) == "g");
}

// The calling thread dies alone, as if by SIGKILL; the process lives on.
[[noreturn]] void die_alone() {
    ::syscall(SYS_exit, 0);
    std::abort();
}

}  // namespace

TEST_CASE("hidden: an emitter is killed", "[.]") {
    Emitter emitter([](EmitterLocks&, const Pipe& ready, const Pipe& go_on) {
        tell(ready);
        wait_for_word(go_on);
    });
    emitter.wait_until_ready();
    REQUIRE(emitter.has_said_nothing());
    emitter.kill();
    REQUIRE(emitter.end() == "died");
}

TEST_CASE("the locks of emitters tell of a process that is killed", "[sentinel]") {
    passes_where_followed("hidden: an emitter is killed");
}

TEST_CASE("hidden: an emitter ends by itself", "[.]") {
    Emitter emitter([](EmitterLocks& locks, const Pipe&, const Pipe&) {
        std::thread([&locks] { locks.hold(); }).join();
    });
    REQUIRE(emitter.end() == "orderly");
}

TEST_CASE("a process that ends by itself has not died", "[sentinel]") {
    passes_where_followed("hidden: an emitter ends by itself");
}

TEST_CASE("hidden: threads of an emitter come and go", "[.]") {
    Emitter emitter([](EmitterLocks& locks, const Pipe& ready, const Pipe& go_on) {
        for (std::size_t i = 0; i < 3 * EmitterLocks::threads_max; ++i) {
            std::thread([&locks] {
                locks.hold();
                locks.hold();
            }).join();
        }
        tell(ready);
        wait_for_word(go_on);
    });
    emitter.wait_until_ready();
    REQUIRE(emitter.has_said_nothing());
    emitter.kill();
    REQUIRE(emitter.end() == "died");
}

TEST_CASE("threads that end give their locks to those that come", "[sentinel]") {
    passes_where_followed("hidden: threads of an emitter come and go");
}

TEST_CASE("hidden: one thread outlives the others", "[.]") {
    Emitter emitter([](EmitterLocks& locks, const Pipe& ready, const Pipe& go_on) {
        std::atomic<bool> held = false;
        std::thread([&] {
            locks.hold();
            held = true;
            held.notify_one();
            wait_for_word(go_on);
            die_alone();
        }).detach();
        held.wait(false);
        tell(ready);
        die_alone();
    });
    emitter.wait_until_ready();
    // Its main thread is dead, or about to be.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    REQUIRE(emitter.has_said_nothing());
    emitter.let_go_on();
    REQUIRE(emitter.end() == "died");
}

TEST_CASE("a process has died when each thread that can emit has", "[sentinel]") {
    passes_where_followed("hidden: one thread outlives the others");
}

TEST_CASE("hidden: a thread would emit after the end", "[.]") {
    Emitter emitter([](EmitterLocks& locks, const Pipe& ready, const Pipe& go_on) {
        std::thread([&] {
            wait_for_word(go_on);
            tell(ready);
            locks.hold();
            tell(ready);  // it emits
        }).detach();
        die_alone();
    });
    REQUIRE(emitter.end() == "died");
    emitter.let_go_on();
    emitter.wait_until_ready();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    REQUIRE(emitter.is_not_ready());
}

TEST_CASE("no thread begins to emit after its process counts as dead", "[sentinel]") {
    passes_where_followed("hidden: a thread would emit after the end");
}

TEST_CASE("hidden: a process with much memory is killed", "[.]") {
    constexpr std::size_t size = 256 * mib;
    Emitter emitter([](EmitterLocks& locks, const Pipe& ready, const Pipe& go_on) {
        void* const memory =
            ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        FMVM_CHECK(memory != MAP_FAILED);
        ::madvise(memory, size, MADV_NOHUGEPAGE);
        for (std::size_t at = 0; at < size; at += page_size)
            static_cast<volatile char*>(memory)[at] = 1;
        std::thread([&] {
            locks.hold();
            tell(ready);
            wait_for_word(go_on);
        }).join();
    });
    emitter.wait_until_ready();
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, emitter.pid(), 0)));
    REQUIRE(process);
    pollfd gone{process.get(), POLLIN, 0};
    const auto began = std::chrono::steady_clock::now();
    emitter.kill();
    REQUIRE(emitter.end() == "died");
    const auto told = std::chrono::steady_clock::now() - began;
    REQUIRE(::poll(&gone, 1, 60'000) == 1);
    REQUIRE(4 * told < std::chrono::steady_clock::now() - began);
}

// On a busy host whoever is told may not have its turn before all is over. Not each time.
TEST_CASE("a death is told long before the kernel has taken the memory apart", "[sentinel]") {
    if (!can_follow_robust_mutexes()) return;
    constexpr int rounds_max = 10;
    int rounds = 1;
    while (EndedTest("hidden: a process with much memory is killed").status != 0)
        REQUIRE(++rounds <= rounds_max);
}
