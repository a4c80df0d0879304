// SPDX-License-Identifier: Apache-2.0
// A backup as it runs in a process, and a primary without a machine, over real TCP: what their
// lifeline promises.
#include "lockstep/service/backup_service.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "base/boot_time.h"
#include "lockstep/channel/tcp_lifeline.h"
#include "support/backup_bench.h"
#include "support/captured_log.h"
#include "support/fake_lines.h"
#include "support/primary_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

namespace {

// A machine that could run any guest, and does not.
class IdleStandby : public Standby {
  public:
    explicit IdleStandby(std::atomic<BootTime::rep>& speak_from) : speak_from_(speak_from) {}
    ShadowRam& ram() override { return ram_; }
    ShadowDisks* disks() override { return nullptr; }
    Result<void> check(std::span<const std::uint8_t>) override { return {}; }
    Result<void> accept() override { return {}; }
    Result<bool> take_disks(Generation) override { return true; }
    Result<void> run(const Shadow&, Generation, std::shared_ptr<Arbiter>, BootTime from) override {
        speak_from_ = from.count();
        return {};
    }

  private:
    BenchRam ram_;
    std::atomic<BootTime::rep>& speak_from_;
};

// Knows which generation is the newest, and lets everybody have the next.
class OneGeneration : public Arbiter {
  public:
    explicit OneGeneration(const std::atomic<Generation>& newest) : newest_(newest) {}
    Result<Generation> newest() override { return newest_.load(); }
    Result<Claim> claim(Generation) override { return Claim::won; }
    Result<bool> is_newest(Generation own) override { return own == newest_; }
    Result<void> could_claim() override { return {}; }
    Result<void> mark_ended(Generation) override { return {}; }
    Result<bool> has_ended(Generation) override { return false; }

  private:
    const std::atomic<Generation>& newest_;
};

class User : public BackupUser {
  public:
    Result<std::unique_ptr<Standby>> build(const HelloMessage&) override {
        return std::unique_ptr<Standby>(std::make_unique<IdleStandby>(speak_from));
    }
    OpenArbiter arbiter(const HelloMessage&) override {
        return [this] {
            return Result<std::shared_ptr<Arbiter>>(std::make_shared<OneGeneration>(newest));
        };
    }
    void took_over(std::unique_ptr<Standby>, std::shared_ptr<Arbiter>, Generation) override {
        has_guest = true;
    }
    void guest_ended(const std::string&) override {}
    void failed(const std::string&) override {}

    std::atomic<Generation> newest{1};
    std::atomic<BootTime::rep> speak_from{0};
    std::atomic<bool> has_guest = false;
};

// Epochs of nothing but a state.
class EmptySource : public ScriptedSource {
  public:
    using ScriptedSource::ScriptedSource;
    Result<OutgoingMessage> next_initial() override {
        initial_left = 0;
        return OutgoingMessage{};
    }
    OutgoingMessage next_message() override { return {}; }
};

class MachinelessPrimary : public PrimaryHost {
  public:
    explicit MachinelessPrimary(const Endpoint& backup)
        : primary_(PrimaryBench::default_options(), source_, gate_, stats_, *permit, *this) {
        thread_.set_timer([this] { return primary_.deadline(); }, [this] { primary_.tick(); });
        thread_.post([this, backup] {
            connector_ = Connector::connect(
                thread_.channel_threads(), backup, nullptr, 5000,
                [this](auto channel) { primary_.connected(std::move(channel).value()); });
        });
        thread_.start();
    }
    ~MachinelessPrimary() override { thread_.stop(); }

    TimePoint now() override { return std::chrono::steady_clock::now(); }
    void claim(Generation) override {}
    void try_claim() override {}
    Result<std::unique_ptr<Lifeline>> join(const std::string& backup, const JoinMessage& join,
                                           Lifeline::Terms terms) override {
        return join_by_lifeline(thread_.channel_threads().user, Endpoint::parse(backup).value(),
                                nullptr, join, std::move(terms));
    }
    void stays(const std::string&) override {}
    void generation_changed(Generation) override {}
    void drain_output() override {}
    void want_connection(TimePoint::duration) override {}
    void finished(PrimaryEnd, const std::string&) override {}

    bool may_speak() const {
        return permit->right() == PairPermit::Right::promises && permit->allows(boot_time());
    }
    const std::shared_ptr<PairPermit> permit = PairPermit::create().value();

  private:
    ReplicationThread thread_;
    ShowingSink sink_;
    ConsoleGate gate_{sink_};
    EmptySource source_{gate_};
    EpochStats stats_;
    Primary primary_;
    std::unique_ptr<Connector> connector_;
};

}  // namespace

TEST_CASE("backup service: a pair speaks by its promises, and it is silent until the last is over",
          "[life]") {
    log::set_level(log::Level::error);
    User user;
    const auto backup =
        BackupService::create(Endpoint::parse("127.0.0.1:0").value(), nullptr, 100ms, user).value();
    backup->start();
    auto primary = std::make_unique<MachinelessPrimary>(backup->endpoint());
    CHECK(eventually([&] { return primary->may_speak(); }));
    // Again, by a promise that was not there yet.
    const BootTime later = boot_time() + 200ms;
    CHECK(eventually([&] { return boot_time() > later && primary->may_speak(); }));
    const BootTime before = boot_time();
    primary.reset();
    CHECK(eventually([&] { return user.has_guest.load(); }));
    CHECK(BootTime(user.speak_from) > before);
    // A promise is the longer, the longer signs take; on a busy machine that is.
    CHECK(BootTime(user.speak_from) <=
          boot_time() + PrimaryBench::default_options().lost_after / 2);
}

TEST_CASE("backup service: a primary whose generation is not the newest any more is left",
          "[arbiter]") {
    const CapturedLog log;
    User user;
    const auto backup =
        BackupService::create(Endpoint::parse("127.0.0.1:0").value(), nullptr, 100ms, user).value();
    backup->start();
    const auto primary = std::make_unique<MachinelessPrimary>(backup->endpoint());
    CHECK(eventually([&] { return primary->may_speak(); }));
    user.newest = 2;
    CHECK(eventually([&] { return log.has("waiting for another primary than"); }));
    CHECK_FALSE(user.has_guest);
}
