// SPDX-License-Identifier: Apache-2.0
#include "base/durable_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "support/complaint.h"
#include "support/pipe.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::test;
namespace fs = std::filesystem;

namespace {

Error complain(int error_number, const std::string& path, std::string_view what) {
    return make_error("{} {} ({})", fs::path(path).filename().string(), what,
                      std::strerror(error_number));
}

// An empty directory that goes away with the test.
struct Place {
    Place() { fs::create_directory(directory); }
    ~Place() { fs::remove_all(directory); }
    std::string path(const std::string& name = "file") const { return directory + "/" + name; }
    Result<DurableFile> create(DurableFile::Draft draft = DurableFile::Draft::fixed) const {
        return DurableFile::create(path(), draft, 0600, complain);
    }
    void put(const std::string& name, const std::string& text) const {
        std::ofstream(path(name)) << text;
    }
    std::string text(const std::string& name = "file") const {
        std::ifstream file(path(name));
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::size_t count() const {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
    }
    const TempFile unique;
    const std::string directory = unique.path() + ".durable";
};

std::span<const std::uint8_t> bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Files may not grow beyond so many bytes.
class FileSizeLimit {
  public:
    explicit FileSizeLimit(rlim_t limit) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        handler_ = ::signal(SIGXFSZ, SIG_IGN);
        const rlimit small{limit, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &small);
    }
    ~FileSizeLimit() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        ::signal(SIGXFSZ, handler_);
    }

  private:
    rlimit before_{};
    sighandler_t handler_ = SIG_DFL;
};

}  // namespace

TEST_CASE("a durable file takes its place whole, in place of the one before", "[base]") {
    const Place place;
    place.put("file", "old");
    {
        DurableFile file = place.create().value();
        REQUIRE(file.write(bytes("new ")).ok());
        REQUIRE(file.write(bytes("text")).ok());
        CHECK(place.text() == "old");
        REQUIRE(file.replace().ok());
        CHECK(place.text() == "new text");
    }
    CHECK(place.text() == "new text");
    CHECK(place.count() == 1);
    struct stat status {};
    REQUIRE(::stat(place.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("a durable file that is not placed leaves nothing behind", "[base]") {
    const Place place;
    place.put("file", "old");
    for (const auto draft : {DurableFile::Draft::fixed, DurableFile::Draft::unique}) {
        DurableFile file = place.create(draft).value();
        REQUIRE(file.write(bytes("new")).ok());
        DurableFile moved = std::move(file);
        CHECK(place.count() == 2);
    }
    CHECK(place.count() == 1);
    CHECK(place.text() == "old");
}

TEST_CASE("a durable file takes an absent place only", "[base]") {
    const Place place;
    DurableFile first = place.create(DurableFile::Draft::unique).value();
    DurableFile second = place.create(DurableFile::Draft::unique).value();
    REQUIRE(first.write(bytes("first")).ok());
    REQUIRE(second.write(bytes("second")).ok());
    CHECK(second.place_if_absent().value());
    CHECK_FALSE(first.place_if_absent().value());
    CHECK(place.text() == "second");
    CHECK(place.count() == 1);
}

TEST_CASE("a draft that a crash has left is overwritten", "[base]") {
    const Place place;
    place.put("file.new", "half of something that was much longer");
    DurableFile file = place.create().value();
    REQUIRE(file.write(bytes("new")).ok());
    REQUIRE(file.replace().ok());
    CHECK(place.text() == "new");
    CHECK(place.count() == 1);
}

TEST_CASE("a descriptor that is taken away goes on to the file in its place", "[base]") {
    const Place place;
    DurableFile file = place.create().value();
    const UniqueFd fd = file.take_descriptor();
    REQUIRE(::write(fd.get(), "one", 3) == 3);
    REQUIRE(file.replace().ok());
    REQUIRE(::write(fd.get(), " two", 4) == 4);
    CHECK(place.text() == "one two");
}

TEST_CASE("a draft that cannot be made is told by the caller's words", "[base]") {
    const Place place;
    const auto nowhere =
        DurableFile::create(place.path("none/file"), DurableFile::Draft::fixed, 0600, complain);
    CHECK(nowhere.error().message() == "file.new cannot be created (No such file or directory)");
}

TEST_CASE("a draft is a new file, whatever was planted in its place", "[base]") {
    const Place place;
    place.put("other", "untouched");
    const auto replaced = [&] {
        DurableFile file = place.create().value();
        REQUIRE(file.write(bytes("new")).ok());
        REQUIRE(file.replace().ok());
        struct stat info {};
        REQUIRE(::lstat(place.path().c_str(), &info) == 0);
        return place.text() == "new" && place.text("other") == "untouched" &&
               info.st_mode == (S_IFREG | 0600);
    };
    fs::create_symlink(place.path("other"), place.path("file.new"));
    CHECK(replaced());
    fs::create_hard_link(place.path("other"), place.path("file.new"));
    CHECK(replaced());
    place.put("file.new", "what a crash has left");
    fs::permissions(place.path("file.new"), fs::perms::all);
    CHECK(replaced());
    REQUIRE(::mkfifo(place.path("file.new").c_str(), 0600) == 0);
    CHECK(replaced());
}

TEST_CASE("a durable file stays in its directory when that gets another name", "[base]") {
    const Place place;
    const std::string elsewhere = place.directory + ".elsewhere";
    DurableFile file = place.create().value();
    fs::rename(place.directory, elsewhere);
    fs::create_directory(place.directory);
    CHECK(file.replace().ok());
    CHECK(fs::exists(elsewhere + "/file"));
    CHECK(place.count() == 0);
    fs::remove_all(elsewhere);
}

TEST_CASE("a draft that cannot be written leaves the old file", "[base]") {
    const Place place;
    place.put("file", "old");
    {
        DurableFile file = place.create().value();
        const FileSizeLimit limit(3);
        CHECK(complaint(file.write(bytes("longer"))) ==
              "file.new cannot be written (File too large)");
    }
    CHECK(place.text() == "old");
    CHECK(place.count() == 1);
}

TEST_CASE("a draft that cannot be synchronised is not placed", "[base]") {
    const Place place;
    {
        DurableFile file = place.create().value();
        const Pipe pipe;  // the kernel refuses fsync for one
        REQUIRE(::dup2(pipe.write_end.get(), file.fd()) == file.fd());
        CHECK(complaint(file.replace()) == "file.new cannot be made durable (Invalid argument)");
    }
    CHECK(place.count() == 0);
}

TEST_CASE("a place that cannot be taken stays as it is", "[base]") {
    const Place place;
    fs::create_directory(place.path());
    {
        DurableFile file = place.create().value();
        CHECK(complaint(file.replace()) == "file cannot be replaced (Is a directory)");
    }
    CHECK(fs::is_directory(place.path()));
    CHECK(place.count() == 1);
    DurableFile file = place.create(DurableFile::Draft::unique).value();
    fs::remove_all(place.directory);
    CHECK(file.place_if_absent().error().message() ==
          "file cannot be created (No such file or directory)");
}

TEST_CASE("another program's file is made durable by its name", "[base]") {
    const Place place;
    place.put("file", "text");
    CHECK(make_durable(place.path()).ok());
    CHECK_THAT(complaint(make_durable(place.path("none"))),
               Catch::Contains("none cannot be written to the disk: No such file"));
}
