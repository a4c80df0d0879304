// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/life_signs.h"

namespace fmvm::lockstep {

Sign LifeSigns::send(bool asks, const WorkDone& work, TimePoint now, BootTime boot_now) {
    ++sent_;
    heartbeat_.sent(now);
    return {.number = sent_,
            .echo = echo_,
            .work = work,
            .promise = half_.sending(sent_, asks, boot_now),
            .asks = asks};
}

Result<void> LifeSigns::receive(const Sign& sign, BootTime boot_now) {
    if (boot_now - counted_since_ >= std::chrono::seconds(1)) {
        counted_since_ = boot_now;
        counted_ = 0;
    }
    if (++counted_ > signs_a_second_max) return Error("it sends too many signs of life");
    if (sign.number != newest_.number + 1) return Error("a sign of life out of turn");
    if (sign.echo > sent_) return Error("it echoes a sign of life that was never sent");
    if (sign.echo < newest_.echo || sign.work.handled < newest_.work.handled ||
        sign.work.steps < newest_.work.steps)
        return Error("a sign of life takes back what the one before said");
    const bool is_new_echo = sign.echo != newest_.echo;
    newest_ = sign;
    if (half_.takes(sign.promise, boot_now)) echo_ = sign.number;
    if (is_new_echo) half_.echoed(sign.echo, boot_now);
    return {};
}

}  // namespace fmvm::lockstep
