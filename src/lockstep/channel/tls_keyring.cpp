// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tls_keyring.h"

#include "base/log.h"

namespace fmvm::lockstep {

Result<std::shared_ptr<TlsKeyring>> TlsKeyring::open(const std::string& path) {
    const TlsKeys keys = FMVM_TRY(read_tls_keys(path));
    return std::shared_ptr<TlsKeyring>(new TlsKeyring(path, keys));
}

TlsKeyring::TlsKeyring(std::string path, const TlsKeys& keys)
    : path_(std::move(path)), keys_(keys), context_(std::make_shared<const TlsContext>(keys)) {}

std::shared_ptr<const TlsContext> TlsKeyring::context() {
    const Result<TlsKeys> keys = read_tls_keys(path_);
    const Lock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (!keys.ok()) {
        if (const auto told = unreadable_.is(keys.error().message(), now))
            log::warning("tls", "{}; the keys that it had before still hold", *told);
        return context_;
    }
    unreadable_.over(now);
    if (keys.value() == keys_) return context_;
    log::notice("tls", "key {} has changed: new connections need it as it is now", path_);
    keys_ = keys.value();
    context_ = std::make_shared<const TlsContext>(keys_);
    return context_;
}

std::unique_ptr<TlsSession> start_tls(const std::shared_ptr<TlsKeyring>& keys,
                                      TlsSession::Role role, int socket) {
    if (!keys) return nullptr;
    return std::make_unique<TlsSession>(keys->context(), role, socket);
}

}  // namespace fmvm::lockstep
