// What happens to one lockspace, written down for tests in the order in which it happens: each
// thing before anybody can see it, so that who is told of it finds it here.
//
// Threads: one.
#ifndef STACKGLUE_TEST_FAKE_DEVICE_MACHINE_JOURNAL_H_
#define STACKGLUE_TEST_FAKE_DEVICE_MACHINE_JOURNAL_H_

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace stackglue::fake_device {

class Journal {
 public:
  Journal() = default;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal() {
    if (fd_ >= 0) close(fd_);
  }

  // Begins one, in an empty file; before that nothing is written.
  void Open(const std::filesystem::path& path) {
    if (fd_ >= 0) close(fd_);
    fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  }
  // A line, in one call: whoever reads the file sees all of it or nothing.
  void Write(const std::string& text) {
    if (fd_ < 0) return;
    const std::string line = text + "\n";
    [[maybe_unused]] const ssize_t size = ::write(fd_, line.data(), line.size());
  }

 private:
  int fd_ = -1;
};

}  // namespace stackglue::fake_device

#endif  // STACKGLUE_TEST_FAKE_DEVICE_MACHINE_JOURNAL_H_
