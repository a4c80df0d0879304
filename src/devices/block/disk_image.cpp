// SPDX-License-Identifier: Apache-2.0
#include "devices/block/disk_image.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <thread>

#include "base/units.h"
#include "devices/block/loop_devices.h"

namespace fmvm {

namespace {

Error open_error(int error_number, const std::string& path, bool read_only) {
    if (error_number == ENOENT) {
        return make_error(
            "disk {}: no such file; create it (truncate -s 1G {}) or correct path=", path, path);
    }
    if ((error_number == EACCES || error_number == EROFS || error_number == EPERM) && !read_only) {
        return make_error(
            "disk {}: cannot be opened for writing ({}); add readonly or change its "
            "permissions",
            path, std::strerror(error_number));
    }
    if (error_number == EINVAL) {
        return make_error("disk {}: its file system does not support direct I/O; leave out direct",
                          path);
    }
    if (error_number == EBUSY) {
        return make_error(
            "disk {}: this block device is in use, mounted or a part of something else; unmount it "
            "or add readonly",
            path);
    }
    return errno_error(error_number, fmt::format("disk {}: cannot be opened", path));
}

// A killed owner has a block device until its last I/O has ended, as it has its lock.
int open_patiently(const std::string& path, int flags, std::chrono::milliseconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (true) {
        const int fd = ::open(path.c_str(), flags);
        if (fd >= 0 || errno != EBUSY || std::chrono::steady_clock::now() >= deadline) return fd;
        std::this_thread::sleep_for(DiskImage::lock_look);
    }
}

// Open file description locks: they belong to this opening, not to the process.
int set_lock(int fd, short type) {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    return ::fcntl(fd, F_OFD_SETLK, &lock);
}

Result<void> wait_for_lock(const DiskImage& image, std::chrono::milliseconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!FMVM_TRY(image.try_lock())) {
        if (std::chrono::steady_clock::now() >= deadline) {
            return make_error("disk {}: in use by another virtual machine; stop that one first",
                              image.path);
        }
        std::this_thread::sleep_for(DiskImage::lock_look);
    }
    return {};
}

// A file has no O_EXCL as block devices have: whoever mounts it has it through a loop device.
Result<void> check_unused(const DiskImage& image, const struct stat& info) {
    if (image.read_only) return {};
    const std::optional<std::string> device = loop_device_on(info);
    if (!device) return {};
    return make_error(
        "disk {}: {} stands on this file, and may be mounted or a part of something else; unmount "
        "and detach it (losetup -d {}), or add readonly",
        image.path, *device, *device);
}

Result<void> measure_file(DiskImage& image, bool direct) {
    if (!direct) return {};
    // What direct I/O asks of this file (Linux 6.1: STATX_DIOALIGN); a page satisfies all others.
    struct statx info {};
    if (::statx(image.fd.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 &&
        (info.stx_mask & STATX_DIOALIGN) != 0 && info.stx_dio_offset_align != 0) {
        image.block_size = std::max<std::uint32_t>(sector_size, info.stx_dio_offset_align);
        image.memory_alignment = std::max<std::uint32_t>(1, info.stx_dio_mem_align);
    } else {
        image.memory_alignment = page_size;
    }
    return {};
}

Result<void> measure_device(DiskImage& image, bool direct) {
    std::uint64_t size = 0;
    int logical_block = 0;
    if (::ioctl(image.fd.get(), BLKGETSIZE64, &size) != 0 ||
        ::ioctl(image.fd.get(), BLKSSZGET, &logical_block) != 0) {
        return errno_error(errno, fmt::format("disk {}: cannot read its size", image.path));
    }
    image.size = size;
    image.block_size = static_cast<std::uint32_t>(logical_block);
    image.memory_alignment = direct ? static_cast<std::uint32_t>(logical_block) : 1;
    return {};
}

}  // namespace

Result<DiskImage> DiskImage::open(const std::string& path, const Options& options) {
    DiskImage image;
    image.path = path;
    image.read_only = options.read_only;
    // O_NONBLOCK keeps a FIFO from hanging us; it means nothing to files and block devices.
    int flags = (options.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK |
                (options.direct ? O_DIRECT : 0);
    struct stat before {};
    if (::stat(path.c_str(), &before) == 0 && S_ISDIR(before.st_mode)) {
        return make_error("disk {}: is a directory; give an image file or a block device", path);
    }
    // Mounts and other owners of a block device have it exclusively (open(2)), not by locks.
    if (S_ISBLK(before.st_mode) && options.lock && !options.read_only) flags |= O_EXCL;
    image.fd = UniqueFd(open_patiently(path, flags, options.lock_wait));
    if (!image.fd) return open_error(errno, path, options.read_only);
    struct stat info {};
    if (::fstat(image.fd.get(), &info) != 0) {
        return errno_error(errno, fmt::format("disk {}: cannot be examined", path));
    }
    if (S_ISREG(info.st_mode)) {
        image.size = static_cast<std::uint64_t>(info.st_size);
        FMVM_TRY(check_unused(image, info));
        FMVM_TRY(measure_file(image, options.direct));
    } else if (S_ISBLK(info.st_mode)) {
        FMVM_TRY(measure_device(image, options.direct));
    } else {
        return make_error("disk {}: is neither a file nor a block device", path);
    }
    if (image.block_size > page_size) {
        return make_error(
            "disk {}: has blocks of {} bytes; give one with at most {}, or leave out direct", path,
            image.block_size, page_size);
    }
    if (image.size == 0) {
        return make_error("disk {}: is empty; give it a size (truncate -s 1G {})", path, path);
    }
    if (image.size % image.block_size != 0) {
        return make_error(
            "disk {}: its size of {} bytes is not a multiple of {}; extend it "
            "(truncate -s %{} {})",
            path, image.size, image.block_size, image.block_size, path);
    }
    if (options.lock) FMVM_TRY(wait_for_lock(image, options.lock_wait));
    // It was for the opening only: what io_uring makes of it, from EAGAIN to waiting on our thread,
    // depends on kernel and file system.
    if (::fcntl(image.fd.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) {
        return errno_error(errno, fmt::format("disk {}: cannot be prepared", path));
    }
    return image;
}

Result<bool> DiskImage::try_lock() const {
    if (set_lock(fd.get(), read_only ? F_RDLCK : F_WRLCK) == 0) return true;
    if (errno == EAGAIN || errno == EACCES) return false;
    return errno_error(
        errno, fmt::format("disk {}: cannot be locked; its file system must support locks", path));
}

void DiskImage::unlock() const {
    set_lock(fd.get(), F_UNLCK);
}

}  // namespace fmvm
