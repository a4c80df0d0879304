// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/callers.h"

#include <algorithm>
#include <utility>

#include "lockstep/channel/endpoint.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

namespace {

std::string address_of(const std::unique_ptr<Channel>& channel) {
    return std::string(address_in(channel->peer()));
}

}  // namespace

void Callers::add(std::unique_ptr<Channel> channel) {
    const std::string address = address_of(channel);
    const auto of_address = std::ranges::count(waiting_, address, address_of);
    if (waiting_.size() == callers_max ||
        of_address >= static_cast<std::ptrdiff_t>(of_one_address_max))
        return refuse(*channel, "too many who have not said who they are wait here; try again");
    waiting_.push_back(std::move(channel));
}

std::unique_ptr<Channel> Callers::next() {
    if (waiting_.empty()) return nullptr;
    auto chosen = std::ranges::find_if(
        waiting_, [this](const auto& channel) { return address_of(channel) != greeted_last_; });
    if (chosen == waiting_.end()) chosen = waiting_.begin();
    std::unique_ptr<Channel> channel = std::move(*chosen);
    waiting_.erase(chosen);
    greeted_last_ = address_of(channel);
    return channel;
}

void Callers::refuse_all(const std::string& why) {
    for (const auto& channel : std::exchange(waiting_, {}))
        refuse(*channel, why);
}

void refuse(Channel& channel, const std::string& why) {
    channel.send(RefuseMessage::type, RefuseMessage{why}.encode());
    channel.close();
}

}  // namespace fmvm::lockstep
