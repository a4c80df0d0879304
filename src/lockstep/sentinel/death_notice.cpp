// SPDX-License-Identifier: Apache-2.0
#include "lockstep/sentinel/death_notice.h"

#include <boost/asio/ip/tcp.hpp>
#include <cstring>

#include "lockstep/wire/whole_frame.h"

namespace fmvm::lockstep {

LastWord death_notice(const Endpoint& backup, const std::shared_ptr<TlsKeyring>& keys,
                      const JoinMessage& join) {
    FMVM_CHECK(join.kind == JoinKind::sentinel);
    const boost::asio::ip::tcp::endpoint to(boost::asio::ip::make_address(backup.address),
                                            backup.port);
    LastWord word;
    word.listener_size = static_cast<socklen_t>(to.size());
    std::memcpy(&word.listener, to.data(), to.size());
    word.under_tls = keys != nullptr;
    if (keys) word.key = keys->context()->offered().key;
    word.greeting = LastBytes(whole_frame(join));
    word.answer = LastBytes(whole_frame(JoinedMessage{}));
    word.word = LastBytes(join.session);
    return word;
}

}  // namespace fmvm::lockstep
