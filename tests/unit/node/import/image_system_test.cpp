// SPDX-License-Identifier: Apache-2.0
// What is read out of an image: names of files, of kernels, of the system. All of it is hostile.
#include "node/import/image_system.h"

#include <catch2/catch.hpp>

#include "node/import/os_release.h"

using namespace fmvm::cli;

namespace {

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("image names: only harmless ones are taken from a listing", "[cli]") {
    CHECK(harmless_names("vmlinuz-6.1.0-1 initrd.img-6.1.0-1 grub/ \n") ==
          Names{"vmlinuz-6.1.0-1", "initrd.img-6.1.0-1", "grub/"});
    CHECK(harmless_names("a\x1b[2J b;c $(d) ../e / 'f' \xc3\xa9 g+1~rc_2") == Names{"g+1~rc_2"});
    CHECK(harmless_names("").empty());
    CHECK(harmless_names(" \n / //").empty());
}

TEST_CASE("image devices: as GRUB calls them", "[cli]") {
    CHECK(grub_device(PartitionTable::Kind::none, {}) == "loop0");
    CHECK(grub_device(PartitionTable::Kind::gpt, {15, ""}) == "loop0,gpt15");
    CHECK(grub_device(PartitionTable::Kind::mbr, {2, ""}) == "loop0,msdos2");
}

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

TEST_CASE("os-release: the system's name", "[cli]") {
    CHECK(system_name("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n") ==
          "Debian GNU/Linux 12 (bookworm)");
    CHECK(system_name("NAME='Alpine Linux'\nVERSION=3.19") == "Alpine Linux 3.19");
    CHECK(system_name("PRETTY_NAME=\"with \\\"quotes\\\"\"") == "with \"quotes\"");
    CHECK(system_name("") == "an unnamed system");
    CHECK(system_name("XPRETTY_NAME=a\nPRETTY_NAMEX=b\nPRETTY_NAME") == "an unnamed system");
}

TEST_CASE("os-release: a hostile name drives no terminal", "[cli]") {
    CHECK(system_name("PRETTY_NAME=\x1b]0;x\x07\xc2\x9b\r\t\x7f") == "?]0;x??????");
    CHECK(system_name("PRETTY_NAME=" + std::string(100'000, 'x')).size() == 80);
    CHECK(system_name("PRETTY_NAME=\"") == "\"");
    CHECK(system_name("PRETTY_NAME=\\") == "\\");
}
