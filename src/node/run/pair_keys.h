// SPDX-License-Identifier: Apache-2.0
// The keys by which the two sides of a pair know each other.
#pragma once

#include "lockstep/channel/tls_keyring.h"
#include "node/config/protection_options.h"

namespace fmvm::node {

// Null: the sides talk in the clear.
Result<std::shared_ptr<lockstep::TlsKeyring>> open_keys(const ReplicationOptions& options);

}  // namespace fmvm::node
