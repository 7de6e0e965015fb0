// Files read in parts, and their words: util/text_file.h.
#include "util/text_file.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stackglue {
namespace {

// A file of this text, for as long as this lives.
class Written {
 public:
  explicit Written(std::string_view text) {
    path_ = (std::filesystem::temp_directory_path() / "stackglue-text-XXXXXX").string();
    close(mkstemp(path_.data()));
    std::ofstream(path_) << text;
  }
  ~Written() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

using namespace std::string_literals;
using Parts = std::vector<std::string>;

Parts PartsOf(std::string_view text, char end = '\n') {
  const Written file(text);
  TextFile parts(file.path(), end);
  Parts all;
  for (std::string part; parts.Next(&part);) all.push_back(part);
  CHECK(parts.error() == 0);
  return all;
}

Parts WordsOf(std::string_view text) {
  Parts all;
  for (;;) {
    const std::string_view word = TakeWord(&text);
    if (word.empty()) return all;
    all.emplace_back(word);
  }
}

TEST_CASE("text file: its lines, the last one with or without its end") {
  CHECK(PartsOf("") == Parts{});
  CHECK(PartsOf("\n") == Parts{""});
  CHECK(PartsOf("one\n\ntwo\n") == Parts{"one", "", "two"});
  CHECK(PartsOf("one\ntwo") == Parts{"one", "two"});
}

TEST_CASE("text file: parts with another end, which may have lines in them") {
  CHECK(PartsOf("A=1\nB\0C=\0"s, '\0') == Parts{"A=1\nB", "C="});
}

TEST_CASE("text file: parts that are longer than what is read at a time, or end with it") {
  for (const size_t length : {4094, 4095, 4096, 4097, 10000}) {
    const std::string part(length, 'x');
    CHECK(PartsOf(part + "\n" + part + "\nend") == Parts{part, part, "end"});
    CHECK(PartsOf(part + "\n") == Parts{part});
  }
}

TEST_CASE("text file: all of it, and all that is left") {
  const std::string text = std::string(10000, 'x') + "\n\0y"s;
  const Written file(text);
  CHECK(ReadText(file.path()) == text);
  TextFile parts(file.path());
  std::string part;
  REQUIRE(parts.Next(&part));
  CHECK(parts.Rest() == "\0y"s);
  CHECK(parts.Rest().empty());
}

TEST_CASE("text file: what cannot be opened or read has no parts, and says why") {
  const std::string folder = std::filesystem::temp_directory_path().string();
  for (const auto& [path, error] : {std::pair{folder, EISDIR}, {folder + "/none-such", ENOENT}}) {
    TextFile file(path);
    std::string part = "left";
    CHECK_FALSE(file.Next(&part));
    CHECK(part.empty());
    CHECK(file.error() == error);
    CHECK(ReadText(path).empty());
  }
}

TEST_CASE("text file: words, whatever is between them") {
  CHECK(WordsOf("") == Parts{});
  CHECK(WordsOf(" \t\n") == Parts{});
  CHECK(WordsOf("one") == Parts{"one"});
  CHECK(WordsOf(" 59 dlm-control\n\t60  dlm_ls ") == Parts{"59", "dlm-control", "60", "dlm_ls"});
}

}  // namespace
}  // namespace stackglue
