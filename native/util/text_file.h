// Text that the kernel shows as files: in procfs, sysfs, configfs and debugfs.
//
// By read(2), because the standard library's streams bring all their locales along, which are most
// of a program that is linked with them. No child of this process inherits what is open here.
//
// Threads: any, each object by one.
#ifndef STACKGLUE_NATIVE_UTIL_TEXT_FILE_H_
#define STACKGLUE_NATIVE_UTIL_TEXT_FILE_H_

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>

namespace stackglue {

// A file in parts that each end with the same byte, such as lines: as much of it as is asked for,
// however long it is.
class TextFile {
 public:
  explicit TextFile(const std::string& path, char end = '\n')
      : end_(end), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)), error_(fd_ < 0 ? errno : 0) {}
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;
  ~TextFile() {
    if (fd_ >= 0) close(fd_);
  }

  // The next part, without its end; the last one may have none. False when there is none any more,
  // or when the file cannot be read: error().
  bool Next(std::string* part) {
    part->clear();
    while (at_ < size_ || Fill()) {
      const std::string_view rest(buffer_ + at_, size_ - at_);
      const size_t length = std::min(rest.find(end_), rest.size());
      part->append(rest.substr(0, length));
      at_ += length;
      if (length < rest.size()) {
        ++at_;
        return true;
      }
    }
    return error_ == 0 && !part->empty();
  }

  // All that is left, or what can be read of it.
  std::string Rest() {
    std::string rest;
    for (; at_ < size_ || Fill(); at_ = size_) rest.append(buffer_ + at_, size_ - at_);
    return rest;
  }

  // Why it could not be opened or read, an errno; 0 while it could.
  int error() const { return error_; }

 private:
  bool Fill() {
    if (error_ != 0) return false;
    ssize_t size = -1;
    do {
      size = read(fd_, buffer_, sizeof buffer_);
    } while (size < 0 && errno == EINTR);
    if (size < 0) error_ = errno;
    at_ = 0;
    size_ = size > 0 ? static_cast<size_t>(size) : 0;
    return size_ > 0;
  }

  const char end_;
  const int fd_;
  int error_;
  char buffer_[4096];
  size_t at_ = 0;
  size_t size_ = 0;
};

// All of a small file; empty when it cannot be opened.
inline std::string ReadText(const std::string& path) { return TextFile(path).Rest(); }

// Takes the first word off a text of words with spaces, tabs and ends of lines between them. Empty
// when there is none.
inline std::string_view TakeWord(std::string_view* text) {
  constexpr std::string_view kSpaces = " \t\n";
  text->remove_prefix(std::min(text->find_first_not_of(kSpaces), text->size()));
  const std::string_view word = text->substr(0, text->find_first_of(kSpaces));
  text->remove_prefix(word.size());
  return word;
}

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_TEXT_FILE_H_
