// SPDX-License-Identifier: Apache-2.0
#include "base/ownership.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace fmvm {

namespace {

// FUSE has sshfs, glusterfs and others.
constexpr std::array<std::uint32_t, 8> network_file_systems{
    NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, SMB2_SUPER_MAGIC, CIFS_SUPER_MAGIC,
    V9FS_MAGIC,      AFS_SUPER_MAGIC, CEPH_SUPER_MAGIC, FUSE_SUPER_MAGIC};

struct Owner {
    struct stat info {};
    bool known = true;  // its numbers are this host's
};

Result<Owner> owner_of(int fd) {
    Owner owner;
    struct statfs system {};
    if (::fstat(fd, &owner.info) != 0 || ::fstatfs(fd, &system) != 0)
        return errno_error(errno, "cannot be examined");
    owner.known =
        std::ranges::count(network_file_systems, static_cast<std::uint32_t>(system.f_type)) == 0;
    return owner;
}

Result<void> check_user(const Owner& owner) {
    const uid_t user = owner.info.st_uid;
    if (!owner.known || user == 0 || user == ::geteuid()) return {};
    return make_error("belongs to another user ({}), who could change it", user);
}

}  // namespace

Result<void> check_owner(int fd) {
    return check_user(FMVM_TRY(owner_of(fd)));
}

Result<void> check_directory(int fd) {
    const Owner owner = FMVM_TRY(owner_of(fd));
    FMVM_TRY(check_user(owner));
    const mode_t mode = owner.info.st_mode;
    const gid_t group = owner.info.st_gid;
    if ((mode & S_IWOTH) != 0) return Error("is a directory that everybody may write to");
    if ((mode & S_IWGRP) != 0 && owner.known && group != 0 && group != ::getegid())
        return make_error("is a directory that another group ({}) may write to", group);
    return {};
}

}  // namespace fmvm
