// SPDX-License-Identifier: Apache-2.0
#include "sim/lifelines.h"

#include <algorithm>
#include <array>
#include <deque>
#include <optional>

#include "lockstep/channel/life_signs.h"

namespace fmvm::sim {

using lockstep::JoinMessage;
using lockstep::Lifeline;
using lockstep::LifeSigns;
using lockstep::Sign;

class LifeConnection : public std::enable_shared_from_this<LifeConnection> {
  public:
    LifeConnection(Network& network, Process& primary, Process& backup) : network_(network) {
        ends_[0].process = &primary;
        ends_[1].process = &backup;
    }

    void owned_by(int side, Lifeline::Terms terms) { end(side).terms.emplace(std::move(terms)); }
    void begin(int side);
    void ask(const Process& process) {
        for (const int side : {0, 1}) {
            if (end(side).process == &process && end(side).signs) send(side, true);
        }
    }
    void close(int side);
    void died(const Process& process, Death death);
    void cut(std::array<bool, 2> tell);
    void lose(int side, const std::string& reason);

    std::optional<TimePoint> last_sign(int side) { return end(side).last_sign; }
    lockstep::WorkDone peer_work(int side) { return end(side).peer_work; }
    void handled(int side, std::uint64_t bytes) { end(side).work.handled = bytes; }
    // Its owner is gone or was told.
    bool is_over(int side) { return end(side).over; }

  private:
    struct End {
        Process* process = nullptr;
        std::optional<Lifeline::Terms> terms;
        std::optional<LifeSigns> signs;
        struct OnItsWay {
            std::optional<Sign> sign;  // none: the end
            TimePoint due;
        };
        std::deque<OnItsWay> out;
        std::optional<TimePoint> last_sign;
        lockstep::WorkDone peer_work;
        lockstep::WorkDone work;
        bool over = false;
    };
    End& end(int side) { return ends_[static_cast<std::size_t>(side)]; }
    Timeline& timeline() { return network_.timeline(); }
    void tick(int side);
    void send(int side, bool asks);
    void put_on_the_way(int from, std::optional<Sign> sign);
    void deliver(int from);
    void arrive(int side, const Sign& sign);

    Network& network_;
    std::array<End, 2> ends_;
    bool broken_ = false;
};

void LifeConnection::begin(int side) {
    End& self = end(side);
    self.signs.emplace(
        lockstep::Heartbeat(self.terms->interval, self.terms->role, timeline().now()),
        self.terms->half);
    send(side, true);
    tick(side);
}

// A stopped process sends nothing; a busy one does.
void LifeConnection::tick(int side) {
    timeline().after(1ms, [self = shared_from_this(), side] {
        End& sender = self->end(side);
        if (sender.over || !sender.process->alive()) return;
        if (!sender.process->stopped() && sender.signs->is_due(self->timeline().now()))
            self->send(side, true);
        self->tick(side);
    });
}

void LifeConnection::send(int side, bool asks) {
    End& self = end(side);
    if (self.over || !self.process->alive()) return;
    put_on_the_way(side, self.signs->send(asks, self.work, timeline().now(),
                                          self.process->boot_time(timeline().now())));
}

// One behind the other, as many at a time as there are.
void LifeConnection::put_on_the_way(int from, std::optional<Sign> sign) {
    auto& out = end(from).out;
    TimePoint due = timeline().now() + network_.delay();
    if (!out.empty()) due = std::max(due, out.back().due);
    out.push_back({sign, due});
    timeline().at(due, [self = shared_from_this(), from] { self->deliver(from); });
}

void LifeConnection::deliver(int from) {
    auto& out = end(from).out;
    const bool stuck = network_.frozen(from) || end(1 - from).process->stopped();
    if (broken_ || out.empty() || out.front().due > timeline().now()) return;
    if (stuck) {
        timeline().after(network_.delay(),
                         [self = shared_from_this(), from] { self->deliver(from); });
        return;
    }
    const std::optional<Sign> sign = out.front().sign;
    out.pop_front();
    sign ? arrive(1 - from, *sign) : lose(1 - from, "the peer closed its lifeline");
    deliver(from);
}

void LifeConnection::arrive(int side, const Sign& sign) {
    End& self = end(side);
    if (self.over || !self.signs || !self.process->alive()) return;
    const Result<void> taken = self.signs->receive(sign, self.process->boot_time(timeline().now()));
    if (!taken.ok()) {
        timeline().broken("{}: {}", self.process->name(), taken.error().message());
        return;
    }
    self.last_sign = timeline().now();
    self.peer_work = sign.work;
    if (sign.asks) send(side, false);
}

void LifeConnection::close(int side) {
    if (std::exchange(end(side).over, true)) return;
    put_on_the_way(side, std::nullopt);
}

void LifeConnection::died(const Process& process, Death death) {
    for (const int side : {0, 1}) {
        if (end(side).process != &process) continue;
        end(side).over = true;
        if (death != Death::silent) put_on_the_way(side, std::nullopt);
    }
}

void LifeConnection::cut(std::array<bool, 2> tell) {
    broken_ = true;
    for (const int side : {0, 1}) {
        if (tell[static_cast<std::size_t>(side)]) lose(side, "the lifeline was reset");
    }
}

// On the process's own thread, and only while its owner is there.
void LifeConnection::lose(int side, const std::string& reason) {
    end(side).process->post([self = shared_from_this(), side, reason] {
        if (std::exchange(self->end(side).over, true)) return;
        if (self->end(side).terms) self->end(side).terms->lost(reason);
    });
}

namespace {

class SimLifeline : public Lifeline {
  public:
    SimLifeline(std::shared_ptr<LifeConnection> connection, int side)
        : connection_(std::move(connection)), side_(side) {}
    ~SimLifeline() override { connection_->close(side_); }
    std::optional<TimePoint> last_sign() const override { return connection_->last_sign(side_); }
    lockstep::WorkDone peer_work() const override { return connection_->peer_work(side_); }
    void handled(std::uint64_t bytes) override { connection_->handled(side_, bytes); }

  private:
    const std::shared_ptr<LifeConnection> connection_;
    const int side_;
};

}  // namespace

std::unique_ptr<Lifeline> Lifelines::join(Process& from, Process& to, const JoinMessage& join,
                                          Lifeline::Terms terms, Accept accept, Made made) {
    auto connection = std::make_shared<LifeConnection>(network_, from, to);
    connections_.push_back(connection);
    const bool reaches = !network_.frozen(0) && !network_.frozen(1);
    to.after(network_.delay(), [connection, join, accept, made, reaches] {
        if (connection->is_over(0)) return;
        const Result<Lifeline::Terms> accepted =
            reaches ? accept(join) : Error("there is no network");
        if (!accepted.ok()) return connection->lose(0, accepted.error().message());
        made(std::make_unique<SimLifeline>(connection, 1));
        connection->owned_by(1, accepted.value());
        for (const int side : {0, 1})
            connection->begin(side);
    });
    connection->owned_by(0, std::move(terms));
    return std::make_unique<SimLifeline>(connection, 0);
}

void Lifelines::ask(const Process& process) {
    for (const auto& connection : connections_)
        connection->ask(process);
}

void Lifelines::died(const Process& process, Death death) {
    for (const auto& connection : connections_)
        connection->died(process, death);
}

void Lifelines::cut(bool tell_primary, bool tell_backup) {
    for (const auto& connection : connections_)
        connection->cut({tell_primary, tell_backup});
}

}  // namespace fmvm::sim
