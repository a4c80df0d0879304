// SPDX-License-Identifier: Apache-2.0
#include "node/run/pair_keys.h"

namespace fmvm::node {

Result<std::shared_ptr<lockstep::TlsKeyring>> open_keys(const ReplicationOptions& options) {
    if (options.key_file.empty()) return std::shared_ptr<lockstep::TlsKeyring>();
    return lockstep::TlsKeyring::open(options.key_file);
}

}  // namespace fmvm::node
