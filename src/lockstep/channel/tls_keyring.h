// SPDX-License-Identifier: Apache-2.0
// The keys of one VM's pair, as their file says now. It is read again for each connection, so that
// keys can be changed while guests run; connections that there are keep theirs. A file that cannot
// be used any more is told in the log, and the keys that it had last stay.
//
// Threads: any.
#pragma once

#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/trouble.h"
#include "lockstep/channel/tls_context.h"
#include "lockstep/channel/tls_session.h"

namespace fmvm::lockstep {

class TlsKeyring {
  public:
    // Errors name the file.
    static Result<std::shared_ptr<TlsKeyring>> open(const std::string& path);
    // Waits for the file system.
    std::shared_ptr<const TlsContext> context();

  private:
    TlsKeyring(std::string path, const TlsKeys& keys);

    const std::string path_;
    Mutex mutex_;
    TlsKeys keys_ FMVM_GUARDED_BY(mutex_);
    std::shared_ptr<const TlsContext> context_ FMVM_GUARDED_BY(mutex_);
    Trouble unreadable_ FMVM_GUARDED_BY(mutex_);
};

// A session by the keys as they are now, over a socket that outlives it; null keys: none.
std::unique_ptr<TlsSession> start_tls(const std::shared_ptr<TlsKeyring>& keys,
                                      TlsSession::Role role, int socket);

}  // namespace fmvm::lockstep
