// SPDX-License-Identifier: Apache-2.0
#include "lockstep/service/backup_service.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "lockstep/arbiter/arbiter_thread.h"
#include "lockstep/channel/tcp_lifeline.h"

namespace fmvm::lockstep {

namespace {

constexpr std::chrono::seconds arbiter_limit{2};

}  // namespace

Result<std::unique_ptr<BackupService>> BackupService::create(const Endpoint& listen,
                                                             std::shared_ptr<TlsKeyring> keys,
                                                             std::chrono::milliseconds claim_delay,
                                                             BackupUser& user) {
    std::unique_ptr<BackupService> service(new BackupService(claim_delay, user));
    BackupService& self = *service;
    self.listener_ = FMVM_TRY(
        Listener::listen(self.thread_.channel_threads(), listen, std::move(keys),
                         {.channel =
                              [&self](std::unique_ptr<Channel> channel) {
                                  self.backup_.connected(std::move(channel));
                              },
                          .join = [&self](Joiner joiner) { self.join(std::move(joiner)); }}));
    return service;
}

BackupService::BackupService(std::chrono::milliseconds claim_delay, BackupUser& user)
    : user_(user), backup_(*this, claim_delay) {
    thread_.set_timer(
        [this] {
            return std::min(
                {backup_.deadline(), claim_watch_.deadline(), newest_watch_.deadline()});
        },
        [this] { tick(); });
}

BackupService::~BackupService() {
    thread_.stop();
}

void BackupService::tick() {
    backup_.tick();
    thread_.tick(claim_watch_, arbiter_);
    thread_.tick(newest_watch_, arbiter_, followed_,
                 [this](Generation asked) { backup_.superseded(asked); });
}

void BackupService::watch_arbiter(Generation followed) {
    followed_ = std::make_shared<const std::atomic<Generation>>(followed);
    claim_watch_.begin(now());
    newest_watch_.begin(now());
}

void BackupService::leave_arbiter() {
    claim_watch_.end();
    newest_watch_.end();
}

void BackupService::join(Joiner joiner) {
    const Result<void> belongs = backup_.join(joiner.message());
    if (belongs.ok()) return joined(joiner.message(), joiner.accept());
    const std::string why = belongs.error().message();
    const std::string refusal = fmt::format(
        "refused a {} of {}: {}", name_of(joiner.message().kind), address_in(joiner.peer()), why);
    if (const auto told = strangers_.is(refusal, now())) log::warning("backup", "{}", *told);
    joiner.refuse(why);
}

void BackupService::joined(const JoinMessage& join, Transport connection) {
    if (join.kind == JoinKind::sentinel) {
        sentinel_ =
            std::make_unique<SentinelWatch>(thread_.channel_threads().user, std::move(connection),
                                            join.session, [this] { backup_.primary_died(); });
        return;
    }
    Result<std::unique_ptr<Lifeline>> lifeline = make_lifeline(
        thread_.channel_threads().user, std::move(connection), backup_.lifeline_terms());
    if (lifeline.ok()) return backup_.lifeline(std::move(lifeline).value());
    log::warning("backup", "no lifeline: {}", lifeline.error().message());
}

void BackupService::start() {
    thread_.start();
}

void BackupService::ask_for_switch_over(Stays stays) {
    thread_.post([this, stays = std::move(stays)] {
        if (backup_.ask_for_switch_over()) {
            stays_ = stays;
        } else {
            stays("this backup is not in step with a primary");
        }
    });
}

void BackupService::give_up_switch_over() {
    thread_.post([this] {
        if (stays_) backup_.give_up_switch_over();
    });
}

// Nothing is followed yet, so that this thread may wait a moment.
Result<std::shared_ptr<Arbiter>> BackupService::ask_arbiter(const HelloMessage& hello) {
    using Answer = Result<std::shared_ptr<Arbiter>>;
    // One at a time: each that hangs has a thread, and primaries come again and again.
    if (!asked_.expired()) return Error("the arbiter still does not answer; look at its path");
    const auto asked = std::make_shared<bool>();
    asked_ = asked;
    const auto question = [open = user_.arbiter(hello), generation = hello.generation,
                           asked]() -> Answer {
        std::shared_ptr<Arbiter> arbiter = FMVM_TRY(open());
        if (!FMVM_TRY(arbiter->is_newest(generation))) {
            return make_error("generation {} is not the newest any more: this guest runs elsewhere",
                              generation);
        }
        FMVM_TRY(arbiter->could_claim());  // else this side could never take over
        return arbiter;
    };
    std::optional<Answer> answer = ask_for<Answer>(arbiter_limit, question);
    if (!answer) return Error("the arbiter does not answer; look at the path of --arbiter");
    return std::move(*answer);
}

Result<BackupHost::Prepared> BackupService::prepare(const HelloMessage& hello) {
    std::shared_ptr<Arbiter> arbiter = FMVM_TRY(ask_arbiter(hello));
    standby_ = FMVM_TRY(user_.build(hello));
    arbiter_ = std::move(arbiter);
    watch_arbiter(hello.generation);
    return Prepared{&standby_->ram(), standby_->disks()};
}

void BackupService::discard() {
    FMVM_CHECK(standby_->disks() == nullptr || standby_->disks()->at_rest());
    leave_arbiter();
    sentinel_.reset();
    standby_.reset();
    stays("the primary was lost meanwhile, and its guest does not run here");
}

void BackupService::claim(Generation generation) {
    thread_.claim(arbiter_, generation,
                  [this](Result<Claim> claim) { backup_.claimed(std::move(claim)); });
}

void BackupService::try_claim() {
    thread_.try_claim(arbiter_, [this](const Result<void>& tried) { backup_.claim_tried(tried); });
}

void BackupService::stays(const std::string& why) {
    if (const Stays stays = std::exchange(stays_, nullptr)) stays(why);
}

Result<void> BackupService::take_over(const Shadow& shadow, Generation generation,
                                      BootTime speak_from) {
    FMVM_TRY(standby_->run(shadow, generation, arbiter_, speak_from));
    leave_arbiter();
    sentinel_.reset();
    stays_ = nullptr;
    user_.took_over(std::move(standby_), std::move(arbiter_), generation);
    return {};
}

}  // namespace fmvm::lockstep
