// SPDX-License-Identifier: Apache-2.0
// What every VirtioDevice must do, whatever it is: one suite, called from a TEST_CASE of each.
// Devices run on a real loop; the driver notifies only when it is asked to, so that a wish that a
// device forgets to write shows as a request that is never served.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <memory>

#include "support/fake_driver.h"
#include "support/fake_lines.h"
#include "vmm/loop/event_loop.h"

namespace fmvm::test {

class ConformanceSubject {
  public:
    virtual ~ConformanceSubject() = default;
    // The queue that the suite uses; the device has more, perhaps, which are left not ready.
    virtual std::size_t queue() const { return 0; }
    // What else the driver negotiates.
    virtual std::uint64_t features() const { return 0; }
    // A fresh device each time, over the same disk (or whatever outlives it).
    virtual std::unique_ptr<VirtioDevice> make(GuestMemory& memory, EventLoop& loop) = 0;
    // Whatever makes the device look at its queue, if a notification alone does not.
    virtual void provoke() {}
    // Makes one valid request available; returns its head.
    virtual std::uint16_t submit(FakeQueue& queue) = 0;
    // Fails the test unless the request was served rightly.
    virtual void check(FakeQueue& queue, const UsedElement& element) = 0;
};

// One device with its loop, until it is shut down.
class LiveDevice : public VirtioTransport {
  public:
    LiveDevice(ConformanceSubject& subject, GuestMemory& memory, FakeIrq& irq)
        : irq_(irq), queue_(subject.queue()), device_(subject.make(memory, loop_)) {
        loop_.start();
    }
    ~LiveDevice() override { loop_.stop(); }

    void activate(std::uint64_t features, const std::vector<Virtqueue::State>& states) {
        loop_.run_sync([&] { device_->activate(*this, features, states); });
    }
    void notify() {
        loop_.run_sync([&] { device_->queue_notified(queue_); });
    }
    bool reset() {
        std::atomic<bool> done{false};
        loop_.run_sync([&] {
            device_->reset([&] {
                done = true;
                irq_.raise();
            });
        });
        return irq_.wait_until([&] { return done.load(); });
    }
    // Serves what waits, and then, before the loop can go to sleep properly, nothing more: the
    // moment of a cut at which a device has most to remember.
    std::vector<Virtqueue::State> freeze() {
        std::vector<Virtqueue::State> states;
        loop_.run_sync([&] {
            device_->queue_notified(queue_);
            states = device_->queue_states();
            loop_.context().stop();
        });
        loop_.stop();
        return states;
    }
    VirtioDevice& device() { return *device_; }

    void interrupt_used() override { irq_.raise(); }
    void config_changed() override {}
    void notify_again(std::size_t index) override {
        loop_.post([this, index] { device_->queue_notified(index); });
    }
    void fail_device(const char*) override {
        failures = failures + 1;
        irq_.raise();
    }
    std::atomic<int> failures{0};

  private:
    FakeIrq& irq_;
    const std::size_t queue_;
    EventLoop loop_;
    std::unique_ptr<VirtioDevice> device_;
};

class Conformance {
  public:
    explicit Conformance(ConformanceSubject& subject) : subject_(subject) {}

    void describe() {
        LiveDevice live(subject_, ram_.memory(), irq_);
        CHECK(live.device().device_id() != 0);
        CHECK((live.device().features() & virtio_f_version_1) != 0);
        for (const std::uint16_t size : live.device().queue_sizes()) {
            CHECK((size != 0 && (size & (size - 1)) == 0));
        }
        CHECK(live.device().queue_states().empty());
    }

    void stay_calm_when_inactive() {
        LiveDevice live(subject_, ram_.memory(), irq_);
        live.notify();
        CHECK(live.reset());
        live.activate(features(), idle_states(live));  // no queue is ready
        live.notify();
        CHECK(live.reset());
        CHECK(live.failures == 0);
        CHECK(live.device().queue_states().empty());
    }

    void serve_between_resets() {
        LiveDevice live(subject_, ram_.memory(), irq_);
        for (int cycle = 0; cycle < 5; ++cycle) {
            FakeQueue queue(ram_, 16);
            subject_.submit(queue);  // before the device looks for the first time
            live.activate(features(), states_of(live, queue));
            CHECK(returned(queue, 1));
            serve(live, queue, 3);
            CHECK(live.reset());
            subject_.submit(queue);
            live.notify();
            CHECK(queue.take_used().empty());
        }
        CHECK(live.failures == 0);
    }

    void heal_by_reset() {
        LiveDevice live(subject_, ram_.memory(), irq_);
        FakeQueue broken(ram_, 16);
        broken.publish(16);
        live.activate(features(), states_of(live, broken));
        subject_.provoke();
        CHECK(irq_.wait_until([&] { return live.failures != 0; }));
        CHECK(live.reset());
        FakeQueue queue(ram_, 16);
        live.activate(features(), states_of(live, queue));
        serve(live, queue, 3);
    }

    // Device after device takes the queue over from the state of the last; each request is served
    // once.
    void survive_as_state() {
        FakeQueue queue(ram_, 16);
        std::vector<Virtqueue::State> states;
        for (int generation = 0; generation < 8; ++generation) {
            LiveDevice live(subject_, ram_.memory(), irq_);
            if (generation == 0) states = states_of(live, queue);
            live.activate(features(), states);
            serve(live, queue, generation % 3);
            queue.set_used_event(queue.used_index());
            subject_.submit(queue);
            states = live.freeze();
            REQUIRE(states.size() == live.device().queue_sizes().size());
            CHECK(returned(queue, 1));
        }
        // What came while no device looked is found without a notification.
        LiveDevice live(subject_, ram_.memory(), irq_);
        queue.set_used_event(static_cast<std::uint16_t>(queue.used_index() + 1));
        subject_.submit(queue);
        subject_.submit(queue);
        live.activate(features(), states);
        CHECK(returned(queue, 2));
        CHECK(queue.used_index() == queue.available_index());
    }

    bool event_index = false;

  private:
    std::uint64_t features() const {
        return virtio_f_version_1 | virtio_f_indirect_desc |
               (event_index ? virtio_f_event_idx : 0) | subject_.features();
    }
    static std::vector<Virtqueue::State> idle_states(LiveDevice& live) {
        return std::vector<Virtqueue::State>(live.device().queue_sizes().size());
    }
    std::vector<Virtqueue::State> states_of(LiveDevice& live, const FakeQueue& queue) const {
        std::vector<Virtqueue::State> states = idle_states(live);
        states[subject_.queue()] = state(queue);
        return states;
    }
    Virtqueue::State state(const FakeQueue& queue) const {
        Virtqueue::State fresh;
        fresh.layout = queue.layout();
        fresh.event_index = event_index;
        fresh.indirect = true;
        return fresh;
    }
    void serve(LiveDevice& live, FakeQueue& queue, int count) {
        for (int i = 0; i < count; ++i) {
            const std::uint16_t old = queue.available_index();
            queue.set_used_event(queue.used_index());
            subject_.submit(queue);
            if (queue.notification_wanted(old, event_index)) live.notify();
            REQUIRE(returned(queue, 1));
        }
    }
    // Waits for `count` requests and checks them.
    bool returned(FakeQueue& queue, std::size_t count) {
        std::vector<UsedElement> used;
        const bool in_time = irq_.wait_until([&] {
            for (const UsedElement& element : queue.take_used())
                used.push_back(element);
            return used.size() >= count;
        });
        for (const UsedElement& element : used)
            subject_.check(queue, element);
        return in_time && used.size() == count;
    }

    ConformanceSubject& subject_;
    GuestRam ram_{1 * mib};
    FakeIrq irq_;
};

inline void check_virtio_conformance(ConformanceSubject& subject) {
    Conformance suite(subject);
    suite.event_index = GENERATE(false, true);
    SECTION("describes itself") {
        suite.describe();
    }
    SECTION("stays calm when it is not active") {
        suite.stay_calm_when_inactive();
    }
    SECTION("serves between resets") {
        suite.serve_between_resets();
    }
    SECTION("is healed by a reset") {
        suite.heal_by_reset();
    }
    SECTION("survives as state") {
        suite.survive_as_state();
    }
}

}  // namespace fmvm::test
