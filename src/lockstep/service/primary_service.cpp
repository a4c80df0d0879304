// SPDX-License-Identifier: Apache-2.0
#include "lockstep/service/primary_service.h"

#include <algorithm>
#include <utility>

#include "lockstep/channel/tcp_lifeline.h"
#include "lockstep/sentinel/death_notice.h"

namespace fmvm::lockstep {

namespace {

constexpr unsigned connect_limit_ms = 2000;
constexpr std::chrono::milliseconds progress_interval{200};

}  // namespace

Result<std::unique_ptr<PrimaryService>> PrimaryService::create(
    Guest guest, std::shared_ptr<Arbiter> arbiter,
    std::shared_ptr<std::atomic<Generation>> generation, std::shared_ptr<PairPermit> permit,
    PrimaryServiceOptions options, Drain drain, EndHandler on_end) {
    std::unique_ptr<PrimaryService> service(new PrimaryService(
        std::move(guest), std::move(arbiter), std::move(generation), std::move(permit),
        std::move(options), std::move(drain), std::move(on_end)));
    FMVM_TRY(service->set_up());
    return service;
}

PrimaryService::PrimaryService(Guest guest, std::shared_ptr<Arbiter> arbiter,
                               std::shared_ptr<std::atomic<Generation>> generation,
                               std::shared_ptr<PairPermit> permit, PrimaryServiceOptions options,
                               Drain drain, EndHandler on_end)
    : guest_(std::move(guest)),
      disks_(guest_.disks != nullptr ? *guest_.disks : no_disks_),
      arbiter_(std::move(arbiter)),
      options_(std::move(options)),
      drain_(std::move(drain)),
      on_end_(std::move(on_end)),
      generation_(std::move(generation)),
      permit_(std::move(permit)),
      sentinel_(thread_.channel_threads().user, options_.sentinel) {}

Result<void> PrimaryService::set_up() {
    if (!options_.trace.empty()) FMVM_TRY(stats_.trace_to(options_.trace));
    checkpointer_ =
        FMVM_TRY(Checkpointer::create(guest_.machine, guest_.machine.dirty_log(), guest_.console,
                                      guest_.gates, disks_, options_.checkpointer, guest_.packets));
    primary_ = std::make_unique<Primary>(options_.primary, *checkpointer_, guest_.console, stats_,
                                         *permit_, *this);
    thread_.set_timer([this] { return deadline(); }, [this] { tick(); });
    // A guest that came here by a takeover runs already; handlers are set while it stands.
    const QuiesceGuard standing(guest_.machine);
    const auto tell = tasks_.bind([this] { output_waits(); });
    guest_.console.on_waiting(tell);
    for (EpochGate* gate : guest_.gates)
        gate->on_waiting(tell);
    disks_.on_pressure(tell);
    if (guest_.packets != nullptr) {
        guest_.packets->on_waiting(
            tasks_.bind([this] { thread_.post([this] { primary_->packets_waiting(); }); }));
    }
    return {};
}

PrimaryService::TimePoint PrimaryService::deadline() const {
    const TimePoint due =
        std::min({primary_->deadline(), claim_watch_.deadline(), newest_watch_.deadline()});
    return connect_at_ ? std::min(due, *connect_at_) : due;
}

void PrimaryService::tick() {
    if (connect_at_ && now() >= *connect_at_) connect();
    primary_->tick();
    thread_.tick(claim_watch_, arbiter_);
    thread_.tick(newest_watch_, arbiter_, generation_, [this](Generation asked) {
        if (asked == *generation_) primary_->superseded();
    });
}

// A burst posts once.
void PrimaryService::output_waits() {
    if (output_told_.exchange(true)) return;
    thread_.post([this] {
        output_told_ = false;
        primary_->output_waiting();
    });
}

PrimaryService::~PrimaryService() {
    stop();
}

void PrimaryService::stop() {
    thread_.stop();
    permit_->end();
}

// The sentinel waits for the threads by which output leaves this process: the machine's device
// thread, and this one, which writes it out before a guest is handed over.
void PrimaryService::count_emitters() {
    if (options_.sentinel == nullptr) return;
    const auto count = [emitters = options_.sentinel->emitters()] { emitters->hold(); };
    guest_.machine.loop().post(count);
    thread_.post(count);
}

void PrimaryService::start() {
    count_emitters();
    want_connection_at(now());
    newest_watch_.begin(now());
    claim_watch_.begin(now());  // the guest's generation was won just now
    thread_.start();
}

void PrimaryService::switch_over(Stays stays) {
    thread_.post([this, stays = std::move(stays)] {
        const Result<void> begun = primary_->switch_over();
        if (!begun.ok()) return stays(begun.error().message());
        stays_ = stays;
    });
}

void PrimaryService::give_up_switch_over(const std::string& why) {
    thread_.post([this, why] { primary_->give_up_switch_over(why); });
}

void PrimaryService::try_claim() {
    thread_.try_claim(arbiter_,
                      [this](const Result<void>& tried) { primary_->claim_tried(tried); });
}

Result<std::unique_ptr<Lifeline>> PrimaryService::join(const std::string& backup,
                                                       const JoinMessage& join,
                                                       Lifeline::Terms terms) {
    return join_by_lifeline(thread_.channel_threads().user, FMVM_TRY(Endpoint::parse(backup)),
                            options_.keys, join, std::move(terms));
}

void PrimaryService::welcomed(const JoinMessage& sentinel) {
    sentinel_.begin(death_notice(*options_.backup, options_.keys, sentinel));
}

void PrimaryService::stays(const std::string& why) {
    if (const Stays stays = std::exchange(stays_, nullptr)) stays(why);
}

void PrimaryService::generation_changed(Generation generation) {
    *generation_ = generation;
    disks_.generation_changed(generation);
    stays("the backup was lost meanwhile, and the guest goes on without one");
}

void PrimaryService::guest_ended(const std::string& reason) {
    thread_.post([this, reason] { primary_->guest_ended(reason); });
}

void PrimaryService::superseded() {
    thread_.post([this] { primary_->superseded(); });
}

void PrimaryService::claim(Generation generation) {
    thread_.claim(arbiter_, generation,
                  [this](Result<Claim> claim) { primary_->claimed(std::move(claim)); });
}

void PrimaryService::verify(const VerifyOptions& options, Comparer comparer) {
    thread_.post([this, options, comparer = std::move(comparer)] {
        const Comparer before = std::exchange(comparer_, comparer);
        const Result<void> begun = primary_->verify(options);
        if (begun.ok()) return;
        comparer_ = before;
        comparer.finished({VerifyOutcome::Kind::unfinished, begun.error().message()});
    });
}

void PrimaryService::stop_verifying() {
    thread_.post([this] { primary_->stop_verifying(); });
}

void PrimaryService::verifying(const replay::ScrubProgress& progress) {
    if (now() - progress_shown_ < progress_interval) return;
    progress_shown_ = now();
    comparer_.progress(progress);
}

void PrimaryService::verified(const VerifyOutcome& outcome) {
    std::exchange(comparer_, {}).finished(outcome);
}

void PrimaryService::copying(const std::string& progress) {
    if (now() - progress_shown_ < progress_interval) return;
    progress_shown_ = now();
    copy_progress_.set(progress);
    if (options_.on_copying) options_.on_copying(progress);
}

void PrimaryService::copied() {
    copy_progress_.set({});
}

std::string PrimaryService::summary() const {
    const std::string progress = copy_progress_.get();
    return progress.empty() ? stats_.summary() : progress + "\n" + stats_.summary();
}

void PrimaryService::want_connection(TimePoint::duration after) {
    sentinel_.end();
    want_connection_at(now() + after);
}

void PrimaryService::want_connection_at(TimePoint when) {
    if (options_.backup) connect_at_ = when;
}

void PrimaryService::connect() {
    connect_at_.reset();
    connector_ = Connector::connect(
        thread_.channel_threads(), *options_.backup, options_.keys, connect_limit_ms,
        [this](Result<std::unique_ptr<Channel>> channel) {
            if (channel.ok()) {
                primary_->connected(std::move(channel).value());
            } else {
                primary_->not_connected(options_.backup->text(), channel.error().message());
            }
        });
}

void PrimaryService::finished(PrimaryEnd end, const std::string& why) {
    sentinel_.end();
    claim_watch_.end();
    newest_watch_.end();
    guest_.machine.request_end(GuestEnd::stopped);  // the end of a guard must not let it run again
    on_end_(end, why);
}

}  // namespace fmvm::lockstep
