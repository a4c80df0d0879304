// SPDX-License-Identifier: Apache-2.0
// Memory for the bytes of a block request, page-aligned for direct I/O, counted against a budget
// for as long as it lives.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>

namespace fmvm::replay {

// Bytes held at a time. Threads: any.
class PayloadBudget;

// Move-only; gives its bytes back to the budget when it goes, on any thread.
class Payload;

}  // namespace fmvm::replay
