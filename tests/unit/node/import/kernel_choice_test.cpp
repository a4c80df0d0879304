// SPDX-License-Identifier: Apache-2.0
#include "node/import/kernel_choice.h"

#include <catch2/catch.hpp>

using namespace fmvm::node;

TEST_CASE("kernel choice: the newest by version, not by letters", "[cli]") {
    CHECK(newest_kernel({"vmlinuz-6.1.0-9", "vmlinuz-6.1.0-10", "vmlinuz-6.1.0-2"}) ==
          KernelFiles{"6.1.0-10", "vmlinuz-6.1.0-10", ""});
    // Fedora's rescue kernel is none that one wants.
    CHECK(newest_kernel({"vmlinuz-0-rescue-4f3a", "initramfs-0-rescue-4f3a.img",
                         "vmlinuz-6.5.6-300", "initramfs-6.5.6-300.img"}) ==
          KernelFiles{"6.5.6-300", "vmlinuz-6.5.6-300", "initramfs-6.5.6-300.img"});
}

TEST_CASE("kernel choice: each distribution's initial RAM disk", "[cli]") {
    for (const char* const initrd :
         {"initrd.img-1", "initramfs-1.img", "initramfs-1", "initrd-1"}) {
        CAPTURE(initrd);
        CHECK(newest_kernel({initrd, "vmlinuz-1"}) == KernelFiles{"1", "vmlinuz-1", initrd});
    }
    // One for crash dumps, or of another version, is not it; a kernel with one goes before others.
    CHECK(newest_kernel({"vmlinuz-2", "initramfs-2kdump.img", "vmlinuz-1", "initrd.img-1"}) ==
          KernelFiles{"1", "vmlinuz-1", "initrd.img-1"});
}

TEST_CASE("kernel choice: what is no kernel", "[cli]") {
    CHECK_FALSE(newest_kernel({}));
    CHECK_FALSE(newest_kernel({"vmlinuz", "vmlinuz-", "vmlinuz-dir/", "vmlinux-1", "xvmlinuz-1"}));
}
