// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/output_permit.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <future>

#include "base/log.h"
#include "lockstep/arbiter/arbiter_thread.h"
#include "support/captured_log.h"
#include "support/fake_arbiter.h"
#include "support/pipe.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

namespace {

using Permit = OutputPermit::Permit;

// A loop, and somebody on it who wants to emit: asks when told to, and again at each answer.
struct OutputPermitBench {
    OutputPermitBench() {
        permit.on_answer([this] {
            if (std::exchange(wanting, false)) want();
        });
        loop.start();
    }
    ~OutputPermitBench() {
        arbiter->hang(false);
        loop.stop();
    }
    // On the loop.
    void want() {
        const Permit answer = permit.ask(0ms, 100ms);
        wanting = answer == Permit::withheld;
        if (answer == Permit::granted) ++granted;
        if (answer == Permit::revoked) ++revoked;
    }
    void emit() {
        loop.run_sync([this] { want(); });
    }
    Permit ask_once() {
        Permit answer{};
        loop.run_sync([&] { answer = permit.ask(0ms, 100ms); });
        return answer;
    }

    std::atomic<std::chrono::nanoseconds::rep> now{0};
    const std::shared_ptr<FakeArbiter> arbiter = std::make_shared<FakeArbiter>();
    EventLoop loop;
    OutputPermit permit{loop, arbiter, [] { return Generation{1}; },
                        [this] { return std::chrono::nanoseconds(now); }};
    bool wanting = false;  // loop only
    std::atomic<int> granted{0};
    std::atomic<int> revoked{0};
};

}  // namespace

TEST_CASE("output permit: each emission is asked for, and goes on at the answer", "[permit]") {
    OutputPermitBench bench;
    for (int i = 1; i <= 5; ++i) {
        bench.emit();
        REQUIRE(eventually([&] { return bench.granted == i; }));
    }
    CHECK(bench.arbiter->asked() >= 5);  // no answer served twice
    bench.arbiter->supersede();
    bench.emit();
    REQUIRE(eventually([&] { return bench.revoked == 1; }));
    CHECK(bench.granted == 5);
}

TEST_CASE("output permit: an arbiter that hangs withholds output, and keeps nobody", "[permit]") {
    OutputPermitBench bench;
    bench.arbiter->hang(true);
    bench.emit();
    REQUIRE(eventually([&] { return bench.arbiter->asked() == 1; }));
    for (int i = 0; i < 10; ++i)
        CHECK(bench.ask_once() == Permit::withheld);  // the loop does not wait
    CHECK(bench.arbiter->asked() == 1);
    CHECK(bench.granted == 0);
    SECTION("when it answers, output goes on") {
        bench.arbiter->hang(false);
        REQUIRE(eventually([&] { return bench.granted == 1; }));
    }
    SECTION("when it says that another side has gone on, output never does") {
        bench.arbiter->supersede();
        bench.arbiter->hang(false);
        REQUIRE(eventually([&] { return bench.revoked == 1; }));
        CHECK(bench.granted == 0);
    }
}

TEST_CASE("output permit: what was answered before a pause counts no more", "[permit]") {
    OutputPermitBench bench;
    bench.arbiter->hang(true);
    bench.emit();
    REQUIRE(eventually([&] { return bench.arbiter->asked() == 1; }));
    bench.now = std::chrono::nanoseconds(101ms).count();  // frozen meanwhile
    bench.arbiter->hang(false);
    REQUIRE(eventually([&] { return bench.granted == 1; }));
    CHECK(bench.arbiter->asked() == 2);
}

TEST_CASE("output permit: a pause between the answer and its use", "[permit]") {
    OutputPermitBench bench;
    bench.loop.quiesce();  // the answer comes, but the loop cannot use it
    CHECK(bench.permit.ask(10s, 100ms) == Permit::granted);
    CHECK(bench.arbiter->asked() == 1);
    bench.arbiter->hang(true);
    CHECK(bench.permit.ask(1ms, 100ms) == Permit::withheld);  // used up
    bench.arbiter->hang(false);
    bench.now = std::chrono::nanoseconds(10s).count();
    bench.arbiter->supersede();
    Permit last = Permit::withheld;
    REQUIRE(eventually([&] {
        last = bench.permit.ask(5ms, 100ms);
        return last != Permit::withheld;
    }));
    CHECK(last == Permit::revoked);
    bench.loop.resume();
}

TEST_CASE("output permit: an arbiter that fails is asked again, not all the time", "[permit]") {
    OutputPermitBench bench;
    bench.arbiter->fail(true);
    bench.emit();
    REQUIRE(eventually([&] { return bench.arbiter->asked() >= 3; }));
    CHECK(bench.granted == 0);
    const auto before = std::chrono::steady_clock::now();
    REQUIRE(eventually([&] { return bench.arbiter->asked() >= 6; }));
    CHECK(std::chrono::steady_clock::now() - before >= 10ms);
    bench.arbiter->fail(false);
    REQUIRE(eventually([&] { return bench.granted == 1; }));
}

TEST_CASE("output permit: its end does not wait for an arbiter that hangs", "[permit]") {
    const auto arbiter = std::make_shared<FakeArbiter>();
    arbiter->hang(true);
    EventLoop loop;
    auto permit = std::make_unique<OutputPermit>(loop, arbiter, [] { return Generation{1}; });
    permit->on_answer([] {});
    CHECK(permit->ask(0ms, 100ms) == Permit::withheld);
    REQUIRE(eventually([&] { return arbiter->asked() == 1; }));
    const auto before = std::chrono::steady_clock::now();
    permit.reset();
    CHECK(std::chrono::steady_clock::now() - before < 10 * ArbiterThread::farewell);
    arbiter->hang(false);
    CHECK(eventually([&] { return arbiter.use_count() == 1; }));  // the thread ends by itself
}

TEST_CASE("arbiter thread: questions come in order, and none after its end", "[permit]") {
    ArbiterThread thread;
    std::string order;
    std::promise<void> done;
    for (const char name : {'a', 'b', 'c'}) {
        thread.ask([&order, &done, name] {
            order += name;
            return [&order, &done, name] {
                order += static_cast<char>(name - 'a' + 'A');
                if (name == 'c') done.set_value();
            };
        });
    }
    REQUIRE(done.get_future().wait_for(wait_limit) == std::future_status::ready);
    CHECK(order == "aAbBcC");
    thread.stop();
    thread.ask([&order] {
        order += '!';
        return [] {};
    });
    thread.stop();
    CHECK(order == "aAbBcC");
}

TEST_CASE("console output: withheld, it goes on when asked again; revoked, it is dropped",
          "[permit][console]") {
    Pipe pipe;
    EventLoop loop;
    std::atomic<Permit> permit{Permit::withheld};
    std::atomic<int> asked{0};
    auto output = std::make_unique<ConsoleOutput>(loop, std::move(pipe.write_end));
    output->require_permit([&](std::chrono::milliseconds patience) {
        CHECK(patience == 0ms);
        ++asked;
        return permit.load();
    });
    const auto write = [&](std::string_view text) {
        output->write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    };
    loop.start();
    write("one\n");
    REQUIRE(eventually([&] { return asked != 0; }));
    CHECK(output->unwritten() == 4);
    permit = Permit::granted;
    loop.run_sync([&] { output->ask_again(); });
    CHECK(pipe.read_exactly(4) == "one\n");
    permit = Permit::revoked;
    write("two\n");
    CHECK(eventually([&] { return output->unwritten() == 0; }));
    loop.stop();
    output.reset();
    CHECK(pipe.read_some(1).empty());  // the end
}

TEST_CASE("output permit: output that waits for the arbiter is told of, and when it goes on",
          "[permit]") {
    const CapturedLog log;
    OutputPermitBench bench;
    SECTION("for an arbiter that hangs") {
        bench.arbiter->hang(true);
        bench.emit();
        REQUIRE(eventually([&] { return log.has("waits for the arbiter: it does not answer"); }));
        bench.arbiter->hang(false);
    }
    SECTION("for one that is away or has junk in it, in its words") {
        bench.arbiter->fail(true);
        bench.emit();
        REQUIRE(eventually([&] { return log.has("waits for the arbiter: the mount is gone"); }));
        SECTION("and then another reason") {
            bench.arbiter->hang(true);
            REQUIRE(eventually([&] { return log.has("for the arbiter: it does not answer"); }));
            bench.arbiter->hang(false);
        }
        bench.arbiter->fail(false);
    }
    REQUIRE(eventually([&] { return bench.granted == 1; }));
    CHECK(eventually([&] { return log.has("output goes on; it waited for"); }));
    CHECK(log.count("waits for the arbiter: the mount is gone") <= 1);
}

TEST_CASE("output permit: an arbiter that answers in time is not told of", "[permit]") {
    const CapturedLog log;
    OutputPermitBench bench;
    for (int i = 1; i <= 5; ++i) {
        bench.emit();
        REQUIRE(eventually([&] { return bench.granted == i; }));
    }
    CHECK(log.text().empty());
}

TEST_CASE("console output: at the end of output that was withheld its reader is not blamed",
          "[permit][console]") {
    const CapturedLog log;
    Pipe pipe;
    EventLoop loop;
    auto output = std::make_unique<ConsoleOutput>(loop, std::move(pipe.write_end));
    output->require_permit([](std::chrono::milliseconds) { return Permit::withheld; });
    output->wait_at_end(20ms, [] { return false; });
    output->write(std::vector<std::uint8_t>{'x'});
    output.reset();
    CHECK(eventually([&] { return log.has("the last 1 bytes of output were withheld"); }));
    CHECK_FALSE(log.has("reader"));
}
