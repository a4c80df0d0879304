// SPDX-License-Identifier: Apache-2.0
// Guests that do anything at all to a device, well-formed or hostile, at random. Whatever state
// they bring it to is saved, accepted, restored and saved again, the same; and whatever is accepted
// of a state that was altered is restored, too, and works on.
//
// FMVM_STATE_SEED and the like choose the programs (seeds.h).
#include <catch2/catch.hpp>
#include <optional>
#include <thread>

#include "devices/power.h"
#include "support/hostile_random.h"
#include "support/seeds.h"
#include "support/state_subjects.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

using State = std::vector<std::uint8_t>;
using Random = HostileRandom;

// A device and its guest's next deeds.
class Program {
  public:
    virtual ~Program() = default;
    virtual StateSubject& subject() = 0;
    virtual std::unique_ptr<StateSubject> fresh() = 0;
    virtual void step(Random& random) = 0;
    // The guest goes on with this one, which has its state.
    virtual void move_to(std::unique_ptr<StateSubject> target) = 0;
};

void check_moves(Program& program, Random& random) {
    const State state = saved_state(program.subject().component());
    auto target = program.fresh();
    REQUIRE(check_state(target->component(), state));
    REQUIRE(restore_state(target->component(), state));
    REQUIRE((saved_state(target->component()) == state));
    if (random.one_in(4)) {
        program.move_to(std::move(target));
    } else {
        target->exercise();
    }
}

void check_alterations(Program& program, Random& random) {
    const State state = saved_state(program.subject().component());
    for (int i = 0; i < 8; ++i) {
        const State other = altered(state, random);
        const auto target = program.fresh();
        const State before = saved_state(target->component());
        const bool accepted = check_state(target->component(), other);
        REQUIRE((saved_state(target->component()) == before));
        REQUIRE(restore_state(target->component(), other) == accepted);
        if (accepted) REQUIRE((saved_state(target->component()) == other));
        target->exercise();
    }
}

void run_programs(const std::function<std::unique_ptr<Program>()>& make) {
    const Quiet quiet;
    const Seeds seeds = seeds_from_environment("STATE", 60);
    for (std::uint64_t seed = seeds.first; seed < seeds.end(); ++seed) {
        Random random(seed);
        const auto program = make();
        for (int step = 0; step < 60; ++step) {
            INFO("FMVM_STATE_SEED=" << seed << " step " << step);
            program->step(random);
            check_moves(*program, random);
            if (step % 10 == 9) check_alterations(*program, random);
        }
    }
}

// A driver of a virtio device: rings on fixed pages, buffers behind them.
class VirtioProgram : public Program {
  public:
    using Make = std::function<std::unique_ptr<VirtioSubject>(const Bytes& memory)>;
    // more_features: what else a driver may negotiate.
    explicit VirtioProgram(Make make, std::uint64_t more_features = 0)
        : make_(std::move(make)), more_features_(more_features), subject_(make_({})) {}

    StateSubject& subject() override { return *subject_; }
    std::unique_ptr<StateSubject> fresh() override { return make_(subject_->memory()); }
    void move_to(std::unique_ptr<StateSubject> target) override {
        subject_.reset(static_cast<VirtioSubject*>(target.release()));
        if (queue_) rebuild_queue();
    }

    void step(Random& random) override {
        switch (random.below(12)) {
            case 0:
                if (!queue_ || random.one_in(4)) initialise(random);
                break;
            case 1:
            case 2:
            case 3:
                submit(random);
                break;
            case 4:
                again(random);
                break;
            case 5:
                if (random.one_in(4)) tamper(random);
                break;
            case 6:
                touch_register(random);
                break;
            case 7:
                if (is_broken() || random.one_in(6)) reset(random);
                break;
            case 8:
                subject_->complete_some([&](std::size_t count) { return random.below(count); });
                break;
            case 9:
                subject_->loop.context().restart();
                subject_->loop.context().poll_one();
                break;
            default:
                driver().notify(static_cast<std::uint32_t>(index_));
                subject_->work();
        }
    }

  private:
    static constexpr GuestAddress buffers{5 * page_size};

    bool is_broken() { return (driver().status() & TransportDriver::needs_reset) != 0; }
    TransportDriver driver() { return TransportDriver(*subject_->transport); }
    GuestAddress buffer(Random& random) {
        if (random.one_in(100)) return GuestAddress(random.nasty());
        return buffers + random.below(VirtioSubject::ram_bytes - buffers.value() - 8 * kib);
    }
    void rebuild_queue() {
        const std::uint16_t at = queue_->available_index();
        queue_.emplace(subject_->ram, size_, places_);
        queue_->set_available_index(at);
    }

    void initialise(Random& random) {
        size_ = static_cast<std::uint16_t>(1U << random.below(7));
        places_ = {GuestAddress(page_size), GuestAddress(2 * page_size),
                   GuestAddress(3 * page_size)};
        if (random.one_in(20)) places_.used = GuestAddress(random.nasty());
        if (random.one_in(20)) places_.available = GuestAddress(random.nasty());
        subject_->ram.poke_bytes(GuestAddress(0), Bytes(buffers.value()));
        queue_.emplace(subject_->ram, size_, places_);
        std::uint64_t features = virtio_f_version_1;
        if (random.one_in(2)) features |= virtio_f_event_idx;
        if (random.one_in(2)) features |= virtio_f_indirect_desc;
        if (random.one_in(2)) features |= more_features_;
        if (random.one_in(20)) features ^= random.nasty();
        index_ = random.below(subject_->queue_count());
        std::vector<QueueLayout> layouts(subject_->queue_count());
        layouts[index_] = queue_->layout();
        driver().start(features, layouts);
    }

    // A disk's request, which is as good as any to other devices.
    void submit(Random& random) {
        if (!queue_) return;
        constexpr std::uint32_t types[] = {blk_in,    blk_in,      blk_out,          blk_out,
                                           blk_flush, blk_discard, blk_write_zeroes, blk_get_id};
        const std::uint32_t type = types[random.below(std::size(types))];
        const GuestAddress header = buffer(random);
        subject_->ram.poke(header, type);
        subject_->ram.poke(header + 8, random.below(520));
        ChainBuilder chain = queue_->chain();
        if (!random.one_in(30)) chain.readable_at(header, 16);
        const bool range = type == blk_discard || type == blk_write_zeroes;
        for (std::uint64_t parts = range ? 1 : random.below(4); parts != 0; --parts) {
            const GuestAddress data = buffer(random);
            const auto length = static_cast<std::uint32_t>(
                random.one_in(30) ? random.nasty() : 512 * (1 + random.below(4)));
            if (range) {
                subject_->ram.poke(data, random.below(520));
                subject_->ram.poke(data + 8, static_cast<std::uint32_t>(random.below(16)));
                subject_->ram.poke(data + 12, static_cast<std::uint32_t>(random.below(2)));
            }
            const bool to_device = range || type == blk_out;
            if (to_device) {
                chain.readable_at(data, range ? 16 : length);
            } else {
                chain.writable_at(data, length);
            }
        }
        if (!random.one_in(30)) chain.writable_at(buffer(random), 1);
        if (chain.table_size() == 0) return;
        if (random.one_in(3)) chain.indirect_at(buffer(random));
        chain.submit();
    }
    // Any head, in flight or not.
    void again(Random& random) {
        if (!queue_) return;
        for (std::uint64_t count = 1 + random.below(3); count != 0; --count)
            queue_->publish(static_cast<std::uint16_t>(random.below(size_)));
    }
    void tamper(Random& random) {
        if (!queue_) return;
        if (random.one_in(3)) {
            queue_->set_available_index(static_cast<std::uint16_t>(random.next()));
            return;
        }
        FakeDescriptor descriptor{buffer(random).value(),
                                  static_cast<std::uint32_t>(random.nasty()),
                                  static_cast<std::uint16_t>(random.below(8)),
                                  static_cast<std::uint16_t>(random.below(size_ + 2U))};
        queue_->set_descriptor(static_cast<std::uint16_t>(random.below(size_)), descriptor);
    }

    void touch_register(Random& random) {
        const std::uint64_t offset = random.below(0x110) & ~std::uint64_t{3};
        const auto value =
            static_cast<std::uint32_t>(random.one_in(2) ? random.nasty() : random.below(256));
        if (offset == TransportDriver::status_register && value == 0) return;
        driver().set(offset, value);
    }

    // The vCPU that resets waits for the loop, which is this thread. While it waits, the state is
    // that of a reset which is complete.
    void reset(Random& random) {
        std::thread vcpu([this] { driver().reset(); });
        while (!subject_->transport->state().resetting)
            std::this_thread::yield();
        for (std::uint64_t rounds = random.below(3); rounds != 0; --rounds) {
            const State state = saved_state(*subject_->transport);
            const auto target = make_(subject_->memory());
            CHECK((state == saved_state(*target->transport)));
            CHECK(restore_state(*target->transport, state));
            subject_->work();
        }
        while (subject_->transport->state().resetting)
            subject_->exercise();
        vcpu.join();
        queue_.reset();
    }

    const Make make_;
    const std::uint64_t more_features_;
    std::unique_ptr<VirtioSubject> subject_;
    std::size_t index_ = 0;  // of the queue that is used
    std::optional<FakeQueue> queue_;
    FakeQueue::Places places_{};
    std::uint16_t size_ = 1;
};

class SerialProgram : public Program {
  public:
    StateSubject& subject() override { return *subject_; }
    std::unique_ptr<StateSubject> fresh() override { return std::make_unique<SerialSubject>(); }
    void move_to(std::unique_ptr<StateSubject> target) override {
        subject_.reset(static_cast<SerialSubject*>(target.release()));
        room_ = 0;
    }
    void step(Random& random) override {
        switch (random.below(8)) {
            case 0:  // what was read for this room arrives later
                room_ = subject_->serial.input_room();
                break;
            case 1:
                subject_->serial.receive(Bytes(random.below(room_ + 1), 'x'));
                room_ = 0;
                break;
            case 2:
                subject_->sink.room = random.one_in(2);
                break;
            case 3:
                subject_->serial.output_ready();
                break;
            case 4:  // a loopback of more than there is room for
                subject_->set(4, 0x10);
                for (int i = 0; i < 5000; ++i)
                    subject_->set(0, 'l');
                break;
            default: {
                std::array<std::uint8_t, 4> bytes{};
                const std::uint64_t value = random.next();
                std::memcpy(bytes.data(), &value, bytes.size());
                const auto data = std::span(bytes).first(random.one_in(8) ? 4 : 1);
                const std::uint64_t offset = random.below(Serial::register_count);
                if (random.one_in(3)) {
                    subject_->serial.read(offset, data);
                } else {
                    subject_->serial.write(offset, data);
                }
            }
        }
    }

  private:
    std::unique_ptr<SerialSubject> subject_ = std::make_unique<SerialSubject>();
    std::size_t room_ = 0;
};

// Ports that end the guest, and what they leave.
class PowerSubject : public StateSubject {
  public:
    PowerState& component() override { return state; }
    void exercise() override {}

    std::size_t ends = 0;
    PowerState state{[this](GuestEnd) { ++ends; }};
    EndRequest ask = [this](GuestEnd how) { state.end(how); };
    AcpiPower acpi{ask};
    I8042Port data{I8042Port::Kind::data, ask};
    I8042Port command{I8042Port::Kind::command, ask};
};

class PowerProgram : public Program {
  public:
    StateSubject& subject() override { return *subject_; }
    std::unique_ptr<StateSubject> fresh() override { return std::make_unique<PowerSubject>(); }
    void move_to(std::unique_ptr<StateSubject> target) override {
        subject_.reset(static_cast<PowerSubject*>(target.release()));
    }
    void step(Random& random) override {
        const std::array value{static_cast<std::uint8_t>(random.next())};
        switch (random.below(4)) {
            case 0:
                subject_->acpi.write(random.below(AcpiPower::register_count), value);
                break;
            case 1:
                subject_->data.write(0, value);
                break;
            case 2:
                subject_->ask(GuestEnd::crash);
                break;
            default:
                subject_->command.write(0, value);
        }
    }

  private:
    std::unique_ptr<PowerSubject> subject_ = std::make_unique<PowerSubject>();
};

}  // namespace

TEST_CASE("whatever a guest does to a disk, its state can be restored", "[state][model]") {
    run_programs([] {
        return std::make_unique<VirtioProgram>(
            [](const Bytes& memory) { return std::make_unique<BlockSubject>(memory); });
    });
}

TEST_CASE("whatever a guest does to the rng, its state can be restored", "[state][model]") {
    run_programs([] {
        return std::make_unique<VirtioProgram>(
            [](const Bytes& memory) { return std::make_unique<RngSubject>(memory); });
    });
}

TEST_CASE("whatever a guest does to a network card, its state can be restored", "[state][model]") {
    static constexpr std::uint64_t features = net_f_status | net_f_mrg_rxbuf | net_f_ctrl_vq |
                                              net_f_guest_announce | net_f_ctrl_guest_offloads |
                                              host_offload_features | guest_offload_features;
    run_programs([] {
        return std::make_unique<VirtioProgram>(
            [](const Bytes& memory) { return std::make_unique<NetSubject>(memory); }, features);
    });
}

TEST_CASE("whatever a guest does to the serial port, its state can be restored", "[state][model]") {
    run_programs([] { return std::make_unique<SerialProgram>(); });
}

TEST_CASE("whatever a guest does to the power ports, their state can be restored",
          "[state][model]") {
    run_programs([] { return std::make_unique<PowerProgram>(); });
}
