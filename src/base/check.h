// SPDX-License-Identifier: Apache-2.0
// FMVM_CHECK: an invariant of ours that stays in release builds. Never for input: whatever comes
// from the guest, the peer, a file or the command line is answered with an Error instead.
#pragma once

namespace fmvm {

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace fmvm

#define FMVM_CHECK(condition)                                     \
    do {                                                          \
        if (!(condition)) [[unlikely]]                            \
            ::fmvm::check_failed(#condition, __FILE__, __LINE__); \
    } while (false)
