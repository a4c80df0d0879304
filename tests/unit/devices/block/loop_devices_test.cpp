// SPDX-License-Identifier: Apache-2.0
#include "devices/block/loop_devices.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <catch2/catch.hpp>

#include "base/units.h"
#include "devices/block/disk_image.h"
#include "support/temp_directory.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

struct stat stat_of(const std::string& path) {
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    return info;
}

// A device on a file, detached with the test; only root can have one, and not everywhere.
class LoopDevice {
  public:
    explicit LoopDevice(const std::string& file) {
        const UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
        const UniqueFd backing(::open(file.c_str(), O_RDWR | O_CLOEXEC));
        const int number = control ? ::ioctl(control.get(), LOOP_CTL_GET_FREE) : -1;
        path_ = fmt::format("/dev/loop{}", number);
        device_ = UniqueFd(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
        made_ = device_ && ::ioctl(device_.get(), LOOP_SET_FD, backing.get()) == 0;
    }
    ~LoopDevice() {
        if (made_) ::ioctl(device_.get(), LOOP_CLR_FD);
    }
    bool is_there() const { return made_; }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
    UniqueFd device_;
    bool made_ = false;
};

}  // namespace

TEST_CASE("loop devices: one that stands on a file is told by name, also who may not open it",
          "[disk]") {
    const TempDirectory places;
    const std::string image = places.write("disk.img", "");
    const std::string other = places.write("other.img", "");
    std::filesystem::create_directories(places.file("block/loop3/loop"));
    std::filesystem::create_directories(places.file("block/loop4"));  // free
    std::filesystem::create_directories(places.file("block/vda"));
    places.write("block/loop3/loop/backing_file", image + "\n");
    const LoopDevicePlaces sysfs{places.file("block"), "/nonexistent"};
    CHECK(loop_device_on(stat_of(image), sysfs) == "/nonexistent/loop3");
    CHECK_FALSE(loop_device_on(stat_of(other), sysfs));
    std::filesystem::create_hard_link(image, places.file("second"));  // another name of it
    CHECK(loop_device_on(stat_of(places.file("second")), sysfs) == "/nonexistent/loop3");
    places.write("block/loop3/loop/backing_file", image + " (deleted)\n");
    CHECK_FALSE(loop_device_on(stat_of(image), sysfs));
    CHECK_FALSE(loop_device_on(stat_of(image), {"/nonexistent", "/nonexistent"}));
}

TEST_CASE("loop devices: an image that one stands on is refused, and the device is named",
          "[disk]") {
    const TempFile file(64 * kib);
    const LoopDevice loop(file.path());
    if (!loop.is_there()) return;
    CHECK(loop_device_on(stat_of(file.path())) == loop.path());
    const auto refused = DiskImage::open(file.path(), {});
    REQUIRE_FALSE(refused.ok());
    CHECK_THAT(refused.error().message(), Catch::Contains(loop.path() + " stands on this file") &&
                                              Catch::Contains("losetup -d " + loop.path()));
    CHECK_FALSE(DiskImage::open(file.path(), {.lock = false}).ok());
    CHECK(DiskImage::open(file.path(), {.read_only = true}).ok());
}
