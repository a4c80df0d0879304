// SPDX-License-Identifier: Apache-2.0
#include "sim/network.h"

#include <algorithm>

#include "base/digest.h"
#include "lockstep/wire/messages.h"

namespace fmvm::sim {

using lockstep::Channel;
using lockstep::ChannelUser;
using lockstep::Frame;
using lockstep::FrameDecoder;
using lockstep::FrameType;

class Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(Network& network, Process& primary, Process& backup) : network_(network) {
        ends_[0].process = &primary;
        ends_[1].process = &backup;
        for (End& end : ends_)
            end.heard = end.process->now();
    }

    void start(int side, ChannelUser& user) {
        end(side).user = &user;
        wake(side);
    }
    std::uint64_t send(int side, FrameType type, const std::vector<std::uint8_t>& body);
    std::size_t queued(int side) const {
        return ends_[static_cast<std::size_t>(side)].out.size() * network_.weight();
    }
    void keep_alive(int side, Duration interval);
    void close(int side);
    void died(const Process& process, Death death);
    void cut(std::array<bool, 2> tell);
    void move(int from);
    lockstep::Traffic traffic(int side) const {
        return ends_[static_cast<std::size_t>(side)].traffic;
    }
    TimePoint last_heard(int side) const { return ends_[static_cast<std::size_t>(side)].heard; }
    bool is_live() const { return !ends_[0].gone && !ends_[1].gone && !broken_; }

  private:
    struct End {
        Process* process = nullptr;
        ChannelUser* user = nullptr;
        FrameDecoder decoder;
        std::uint64_t sequence = 0;
        std::vector<std::uint8_t> out;  // on its way
        bool out_ends = false;          // the end of the stream follows
        bool moving = false;
        bool sent_lately = false;
        std::vector<std::uint8_t> arrived;  // in the receiver's buffer
        std::size_t taken = 0;              // of `arrived`
        bool in_ends = false;
        bool waking = false;
        bool gone = false;  // closed, lost or dead
        TimePoint heard{};
        lockstep::Traffic traffic;
    };

    End& end(int side) { return ends_[static_cast<std::size_t>(side)]; }
    Rng& rng() { return network_.timeline().rng(); }
    void truncate(End& from) {
        if (!from.out.empty()) from.out.resize(rng().below(from.out.size() + 1));
    }
    void enqueue(int side, FrameType type, std::span<const std::uint8_t> body);
    void moved(int from);
    void wake(int side);
    void read(int side);
    void lose(int side, const std::string& reason);

    Network& network_;
    std::array<End, 2> ends_;
    bool broken_ = false;
};

std::uint64_t Connection::send(int side, FrameType type, const std::vector<std::uint8_t>& body) {
    End& self = end(side);
    const std::uint64_t digest = digest_of(body);
    network_.moment(*self.process, Moment::before_send, type, body);
    if (self.gone || !self.process->alive()) return digest;
    self.traffic.sent += lockstep::counted_bytes(type, body.size());
    enqueue(side, type, body);
    network_.moment(*self.process, Moment::after_send, type, body);
    return digest;
}

void Connection::enqueue(int side, FrameType type, std::span<const std::uint8_t> body) {
    End& self = end(side);
    self.sent_lately = true;
    if (broken_) return;
    const auto header = lockstep::make_frame_header(type, self.sequence++, body);
    self.out.insert(self.out.end(), header.begin(), header.end());
    self.out.insert(self.out.end(), body.begin(), body.end());
    move(side);
}

// From a thread of its own: work does not silence it, a stop of the process does.
void Connection::keep_alive(int side, Duration interval) {
    network_.timeline().after(interval, [self = shared_from_this(), side, interval] {
        End& sender = self->end(side);
        if (sender.gone) return;
        if (!sender.process->stopped() && !std::exchange(sender.sent_lately, false)) {
            self->enqueue(side, FrameType::heartbeat, lockstep::HeartbeatMessage{}.encode());
            sender.sent_lately = false;
        }
        self->keep_alive(side, interval);
    });
}

void Connection::close(int side) {
    End& self = end(side);
    self.user = nullptr;
    if (std::exchange(self.gone, true) || broken_) return;
    self.out_ends = true;
    move(side);
}

void Connection::died(const Process& process, Death death) {
    for (const int side : {0, 1}) {
        End& self = end(side);
        if (self.process != &process) continue;
        self.user = nullptr;
        self.gone = true;
        if (death != Death::flushing) truncate(self);
        self.out_ends = death != Death::silent && !broken_;
        move(side);
    }
}

void Connection::cut(std::array<bool, 2> tell) {
    broken_ = true;
    for (const int side : {0, 1}) {
        truncate(end(side));
        end(side).out_ends = false;
        if (!tell[static_cast<std::size_t>(side)]) continue;
        end(side).process->after(rng().between(0us, 3ms), [self = shared_from_this(), side] {
            self->lose(side, "the connection was reset");
        });
    }
}

void Connection::move(int from) {
    End& sender = end(from);
    if (sender.moving || network_.frozen(from)) return;
    if (sender.out.empty() && !sender.out_ends) return;
    sender.moving = true;
    network_.timeline().after(network_.delay(), [self = shared_from_this(), from] {
        self->end(from).moving = false;
        if (!self->network_.frozen(from)) self->moved(from);
    });
}

void Connection::moved(int from) {
    End& sender = end(from);
    End& receiver = end(1 - from);
    const std::size_t before = queued(from);
    if (!sender.out.empty()) {
        const std::size_t count = rng().one_in(4) ? 1 + rng().below(sender.out.size())
                                                  : std::min<std::size_t>(sender.out.size(), 65536);
        const auto last = sender.out.begin() + static_cast<std::ptrdiff_t>(count);
        receiver.arrived.insert(receiver.arrived.end(), sender.out.begin(), last);
        sender.out.erase(sender.out.begin(), last);
        sender.traffic.moved += count;
        receiver.traffic.moved += count;
        // On a thread of its own: work does not make it deaf, a stop of the process does.
        if (!receiver.process->stopped()) receiver.heard = network_.timeline().now();
    }
    if (sender.out.empty() && std::exchange(sender.out_ends, false)) receiver.in_ends = true;
    wake(1 - from);
    const bool drained =
        before > lockstep::channel_low_water && queued(from) <= lockstep::channel_low_water;
    if (drained && sender.process->alive()) {
        sender.process->post([self = shared_from_this(), from] {
            if (self->end(from).user != nullptr) self->end(from).user->channel_drained();
        });
    }
    move(from);
}

void Connection::wake(int side) {
    End& self = end(side);
    if (self.user == nullptr || self.waking) return;
    if (self.taken == self.arrived.size() && !self.in_ends) return;
    self.waking = true;
    self.process->post([keep = shared_from_this(), side] { keep->read(side); });
}

void Connection::read(int side) {
    End& self = end(side);
    self.waking = false;
    if (self.user == nullptr) return;
    std::optional<Frame> frame;
    bool any = false;
    while (!frame && self.taken != self.arrived.size()) {
        std::span<const std::uint8_t> bytes = std::span(self.arrived).subspan(self.taken);
        Result<std::optional<Frame>> fed = self.decoder.feed(bytes);
        self.taken = self.arrived.size() - bytes.size();
        any = true;
        if (!fed.ok()) {
            lose(side, fed.error().message());
            return;
        }
        frame = std::move(*fed);
    }
    if (self.taken == self.arrived.size()) {
        self.arrived.clear();
        self.taken = 0;
    }
    if (any) self.heard = self.process->now();
    if (frame && !lockstep::is_sign_of_life(*frame)) {
        const FrameType type = frame->type;
        network_.moment(*self.process, Moment::before_receive, type, frame->body);
        if (self.user != nullptr) self.user->frame_received(std::move(*frame));
        if (self.process->alive()) network_.moment(*self.process, Moment::after_receive, type, {});
    } else if (!any && self.in_ends) {
        lose(side, "the peer closed the connection");
        return;
    }
    wake(side);
}

void Connection::lose(int side, const std::string& reason) {
    End& self = end(side);
    if (std::exchange(self.gone, true)) return;
    if (self.user != nullptr) std::exchange(self.user, nullptr)->channel_lost(reason);
}

namespace {

class SimChannel : public Channel {
  public:
    SimChannel(std::shared_ptr<Connection> connection, int side)
        : connection_(std::move(connection)), side_(side) {}
    ~SimChannel() override { connection_->close(side_); }
    void start(ChannelUser& user) override { connection_->start(side_, user); }
    std::uint64_t send(FrameType type, lockstep::GatheredBody body) override {
        return connection_->send(side_, type, body.flat());
    }
    std::uint64_t send_with_next(FrameType type, lockstep::GatheredBody body) override {
        return send(type, std::move(body));
    }
    void keep_alive(std::chrono::milliseconds interval, lockstep::Heartbeat::Role) override {
        connection_->keep_alive(side_, interval);
    }
    TimePoint last_heard() const override { return connection_->last_heard(side_); }
    std::size_t queued_bytes() const override { return connection_->queued(side_); }
    lockstep::Traffic traffic() const override { return connection_->traffic(side_); }
    void close() override { connection_->close(side_); }
    std::string peer() const override { return side_ == 0 ? "backup" : "primary"; }

  private:
    std::shared_ptr<Connection> connection_;
    int side_;
};

}  // namespace

Network::Network(Timeline& timeline) : timeline_(timeline) {}

void Network::connect(Process& from, Process& to, Handler connected, Handler accepted,
                      std::function<void()> fails) {
    if (frozen_[0] || frozen_[1] || !to.alive()) {
        from.after(2ms, std::move(fails));
        return;
    }
    auto connection = std::make_shared<Connection>(*this, from, to);
    connections_.push_back(connection);
    from.after(delay(), [connection, connected = std::move(connected)] {
        connected(std::make_unique<SimChannel>(connection, 0));
    });
    to.after(delay(), [connection, accepted = std::move(accepted)] {
        accepted(std::make_unique<SimChannel>(connection, 1));
    });
}

void Network::died(Process& process, Death death) {
    for (const auto& connection : connections_)
        connection->died(process, death);
}

void Network::thaw(int from) {
    frozen_[static_cast<std::size_t>(from)] = false;
    for (const auto& connection : connections_)
        connection->move(from);
}

void Network::cut(bool tell_primary, bool tell_backup) {
    for (const auto& connection : connections_) {
        if (connection->is_live()) connection->cut({tell_primary, tell_backup});
    }
}

}  // namespace fmvm::sim
