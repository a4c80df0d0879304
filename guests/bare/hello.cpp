// SPDX-License-Identifier: Apache-2.0
// The minimum: one line, then the end.
#include "lib/guest.h"

namespace bare {

constinit const std::string_view guest_name = "hello";

void run(const Options&, Text& summary) {
    summary << "from ring 3";
}

}  // namespace bare
