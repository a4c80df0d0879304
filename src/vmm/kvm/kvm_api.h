// SPDX-License-Identifier: Apache-2.0
// <linux/kvm.h>, repaired for C++. Debian 12's __DECLARE_FLEX_ARRAY holds an empty struct, which
// has size 1 in C++, so that every kvm_* struct ending in a flexible array would have the wrong
// size and hence the wrong ioctl number. Include this header, never <linux/kvm.h>.
#pragma once

#include <linux/stddef.h>
#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(TYPE, NAME) TYPE NAME[0]

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <linux/kvm.h>
#pragma GCC diagnostic pop

static_assert(sizeof(kvm_cpuid2) == 8);
static_assert(sizeof(kvm_msrs) == 8);
static_assert(sizeof(kvm_msr_list) == 4);
static_assert(sizeof(kvm_irq_routing) == 8);
static_assert(sizeof(kvm_signal_mask) == 4);
