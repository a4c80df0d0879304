// SPDX-License-Identifier: Apache-2.0
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "vmm/vcpu_thread.h"

int main(int argc, char** argv) {
    fmvm::prepare_kick_signal();
    return Catch::Session().run(argc, argv);
}
