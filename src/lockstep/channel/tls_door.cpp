// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tls_door.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <map>
#include <utility>

#include "base/log.h"
#include "base/thread.h"
#include "lockstep/channel/endpoint.h"

namespace fmvm::lockstep {

namespace asio = boost::asio;

TlsDoor::TlsDoor(asio::io_context& user, Entered entered)
    : user_(user), entered_(std::move(entered)), work_(loop_.get_executor()) {
    thread_ = start_thread("door", [this] { loop_.run(); });
}

TlsDoor::~TlsDoor() {
    close();
}

void TlsDoor::close() {
    told_.end();
    loop_.stop();
    if (thread_.joinable()) thread_.join();
}

void TlsDoor::add(Transport transport) {
    if (callers_.size() == slots) make_room();
    const std::string peer = transport.peer();
    const Place place = callers_.insert(callers_.end(), {network_in(peer), nullptr});
    place->handshake = std::make_unique<Handshake>(
        loop_.get_executor(), std::move(transport), patience,
        [this, place](Result<Transport> result) { answered(place, std::move(result)); });
}

// The oldest of the address that has most goes; of several such addresses, the oldest of all.
void TlsDoor::make_room() {
    std::map<std::string_view, std::size_t> counts;
    for (const Caller& caller : callers_)
        ++counts[caller.address];
    const Place greediest = std::ranges::max_element(
        callers_, {}, [&counts](const Caller& caller) { return counts[caller.address]; });
    refuse(greediest, "too many connect at once who do not prove that they hold this side's key");
}

void TlsDoor::answered(Place place, Result<Transport> result) {
    if (!result.ok()) return refuse(place, result.error().message());
    callers_.erase(place);
    // Tasks can be copied, and a transport cannot.
    const auto transport = std::make_shared<Transport>(std::move(result).value());
    asio::post(user_, told_.bind([this, transport] { entered_(std::move(*transport)); }));
}

void TlsDoor::refuse(Place place, const std::string& why) {
    const std::string refusal =
        fmt::format("refused a connection of {}: {}", address_in(place->handshake->peer()), why);
    if (const auto told = refused_.is(refusal, std::chrono::steady_clock::now()))
        log::warning("tls", "{}", *told);
    callers_.erase(place);
}

}  // namespace fmvm::lockstep
