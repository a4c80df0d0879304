// SPDX-License-Identifier: Apache-2.0
// Simulated time: events in order, chance from one seed, a log for people, and the first rule that
// was seen broken. Everything in the simulation happens on it, on one thread.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace fmvm::sim {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;
using namespace std::chrono_literals;

// A good mix of 64 bits (SplitMix64's finaliser).
constexpr std::uint64_t mix(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

class Rng {
  public:
    explicit Rng(std::uint64_t seed) : state_(mix(seed)) {}
    std::uint64_t next() { return mix(state_++); }
    std::uint64_t below(std::uint64_t bound) { return next() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    Duration between(Duration least, Duration most) {
        return least + Duration(below(static_cast<std::uint64_t>((most - least).count()) + 1));
    }

  private:
    std::uint64_t state_;
};

class Timeline {
  public:
    explicit Timeline(std::uint64_t seed) : rng_(seed) {}
    Timeline(const Timeline&) = delete;
    Timeline& operator=(const Timeline&) = delete;

    TimePoint now() const { return now_; }
    Duration since_start() const { return now_ - start; }
    Rng& rng() { return rng_; }

    // Events of the same moment run in the order in which they were asked for.
    void at(TimePoint when, std::function<void()> task) {
        events_.emplace(std::pair(std::max(when, now_), next_++), std::move(task));
    }
    void after(Duration delay, std::function<void()> task) { at(now_ + delay, std::move(task)); }
    // Runs the next event; false when a rule is broken, or nothing is left that could happen.
    bool run_one() {
        if (events_.empty()) return false;
        auto event = events_.extract(events_.begin());
        quiet_events_ = event.key().first == now_ ? quiet_events_ + 1 : 0;
        if (quiet_events_ > spin_limit) broken("time stands still: somebody spins");
        if (++events_run_ > events_max) broken("it never ends");
        now_ = event.key().first;
        event.mapped()();
        return failure_.empty();
    }

    void keep_log() { logging_ = true; }
    template <typename... Args>
    void note(fmt::format_string<Args...> format, Args&&... args) {
        if (!logging_) return;
        const double ms = std::chrono::duration<double, std::milli>(since_start()).count();
        log_.push_back(
            fmt::format("{:10.3f} ms  {}", ms, fmt::format(format, std::forward<Args>(args)...)));
    }
    const std::vector<std::string>& log() const { return log_; }

    // A rule is broken; the first one counts.
    template <typename... Args>
    void broken(fmt::format_string<Args...> format, Args&&... args) {
        if (!failure_.empty()) return;
        failure_ = fmt::format(format, std::forward<Args>(args)...);
        note("BROKEN: {}", failure_);
    }
    const std::string& failure() const { return failure_; }

  private:
    static constexpr TimePoint start{1000s};
    static constexpr unsigned spin_limit = 20'000;
    static constexpr std::uint64_t events_max = 1'000'000;  // some hundred times what is usual

    TimePoint now_ = start;
    Rng rng_;
    std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> events_;
    std::uint64_t next_ = 0;
    unsigned quiet_events_ = 0;
    std::uint64_t events_run_ = 0;
    bool logging_ = false;
    std::vector<std::string> log_;
    std::string failure_;
};

}  // namespace fmvm::sim
