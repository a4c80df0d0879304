// SPDX-License-Identifier: Apache-2.0
// The permit of docs/life.md between two hosts whose clocks run at different rates, whose signs are
// delayed at random, and one of which claims at some moment: never does the primary speak once the
// backup has begun to. Each clause of the rule is taken away in turn, and then some seed fails.
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <random>

#include "lockstep/channel/claim_gate.h"
#include "lockstep/output/speaking_permit.h"
#include "support/seeds.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

using std::chrono::nanoseconds;

// What is taken away.
enum class Without {
    nothing,
    margin,           // the primary speaks for all of P
    sending_time,     // its permit counts from when the echo came
    closed_gate,      // the backup promises on after its claim has begun
    awaited_promise,  // it speaks as soon as it has claimed
    boot_clock,       // the primary's clock stands while its host is suspended
    own_length,       // a promise lasts for the shortest P, however long the sign says
};

constexpr PermitTerms terms{50ms, 150ms};

class World {
  public:
    World(std::uint64_t seed, Without without) : random_(seed), without_(without) {}

    // True: the primary has spoken after the backup had begun to.
    bool contradicts() {
        at(0ns, [this] { send_sign(); });
        at(0ns, [this] { speak(); });
        at(between(20ms, 500ms), [this] { claim(); });
        if (chance(3)) suspend_at_ = between(10ms, 400ms);
        while (!events_.empty() && now_ < 1s) {
            const auto event = events_.begin();
            now_ = event->first;
            const std::function<void()> happens = std::move(event->second);
            events_.erase(event);
            happens();
        }
        return primary_spoke_at_ > backup_spoke_at_;
    }

  private:
    nanoseconds between(nanoseconds low, nanoseconds high) {
        return nanoseconds(
            std::uniform_int_distribution<std::int64_t>(low.count(), high.count())(random_));
    }
    bool chance(std::uint64_t one_in) { return random_() % one_in == 0; }
    void at(nanoseconds when, std::function<void()> happens) {
        events_.emplace(when, std::move(happens));
    }

    // Nobody knows the true time `now_`. Rates are as wrong as the margin allows for.
    BootTime primary_clock() const {
        const bool stood = without_ == Without::boot_clock && now_ > suspend_at_;
        const nanoseconds ran = stood ? std::max(suspend_at_, now_ - suspended_for) : now_;
        return 7h + nanoseconds(ran.count() * 999 / 1000);
    }
    BootTime backup_clock() const { return 3s + nanoseconds(now_.count() * 1001 / 1000); }
    // A suspended host does nothing.
    nanoseconds awake(nanoseconds when) const {
        const bool sleeps = when > suspend_at_ && when < suspend_at_ + suspended_for;
        return sleeps ? suspend_at_ + suspended_for : when;
    }
    nanoseconds way() { return chance(10) ? between(0ms, 120ms) : between(20us, 2ms); }

    void send_sign() {
        const SpeakingPermit::Asked sign = ask();
        at(now_ + way(), [this, sign] { take_sign(sign); });
        at(awake(now_ + between(1ms, 20ms)), [this] { send_sign(); });
    }

    // The longer a sign and its echo take, the longer a promise is asked for.
    SpeakingPermit::Asked ask() { return permit_.sign(primary_clock(), true); }

    void take_sign(const SpeakingPermit::Asked& sign) {
        const auto length = promised(sign.promise);
        const bool taken =
            gate_.promise(length, backup_clock()) || without_ == Without::closed_gate;
        if (!taken) return;
        at(awake(now_ + way()), [this, number = sign.number] { take_echo(number); });
    }

    void take_echo(std::uint64_t number) {
        if (without_ == Without::sending_time) number = ask().number;
        CHECK(permit_.echoed(number, primary_clock()));
    }

    void speak() {
        // From the look at the clock to the write.
        if (permit_.allows(primary_clock()))
            primary_spoke_at_ = std::max(primary_spoke_at_, awake(now_) + between(0us, 800us));
        at(awake(now_ + between(1us, 200us)), [this] { speak(); });
    }

    void claim() {
        const BootTime from = gate_.close();
        if (without_ == Without::awaited_promise || backup_clock() >= from) {
            backup_spoke_at_ = now_;
        } else {
            wait_to_speak(from);
        }
    }

    void wait_to_speak(BootTime from) {
        at(now_ + 10us, [this, from] {
            if (backup_clock() < from) return wait_to_speak(from);
            backup_spoke_at_ = now_;
        });
    }

    // With no margin, the primary speaks for all of the promise; with one length for all promises,
    // the backup takes each for the shortest.
    nanoseconds promised(nanoseconds length) const {
        if (without_ == Without::margin) return length - permit_margin(length);
        return without_ == Without::own_length ? terms.shortest : length;
    }

    static constexpr nanoseconds suspended_for = 200ms;

    std::mt19937_64 random_;
    const Without without_;
    std::multimap<nanoseconds, std::function<void()>> events_;
    nanoseconds now_{0};
    nanoseconds suspend_at_ = 1h;
    SpeakingPermit permit_{terms};
    ClaimGate gate_{terms.longest};
    nanoseconds primary_spoke_at_{-1};
    nanoseconds backup_spoke_at_ = 1h;
};

}  // namespace

TEST_CASE("permit: the primary is silent before the backup speaks", "[permit]") {
    const test::Seeds seeds = test::seeds_from_environment("PERMIT", 300);
    for (std::uint64_t seed = seeds.first; seed < seeds.end(); ++seed) {
        CAPTURE(seed);
        REQUIRE_FALSE(World(seed, Without::nothing).contradicts());
    }
}

TEST_CASE("permit: without any clause of the rule both sides speak", "[permit]") {
    const auto without =
        GENERATE(Without::margin, Without::sending_time, Without::closed_gate,
                 Without::awaited_promise, Without::boot_clock, Without::own_length);
    CAPTURE(static_cast<int>(without));
    std::uint64_t seed = 1;
    while (seed < 1000 && !World(seed, without).contradicts())
        ++seed;
    CHECK(seed < 1000);
}
