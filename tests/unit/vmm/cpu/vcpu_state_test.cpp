// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/vcpu_state.h"

#include <catch2/catch.hpp>

using namespace fmvm;

TEST_CASE("a vCPU that waits for its start-up interrupt has no SMI pending", "[cpu]") {
    VcpuState state;
    state.events.smi.pending = 1;
    state.mp_state.mp_state = KVM_MP_STATE_RUNNABLE;
    state.make_restorable();
    CHECK(state.events.smi.pending == 1);
    state.mp_state.mp_state = KVM_MP_STATE_INIT_RECEIVED;
    state.make_restorable();
    CHECK(state.events.smi.pending == 0);
}

TEST_CASE("CS.L counts in long mode only", "[cpu]") {
    VcpuState state;
    state.sregs.cs.l = 1;
    state.sregs.efer = 1 << 8 | 1 << 10;
    state.make_restorable();
    CHECK(state.sregs.cs.l == 1);
    state.sregs.efer = 1 << 8;
    state.make_restorable();
    CHECK(state.sregs.cs.l == 0);
}
