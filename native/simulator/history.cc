// A history and its replay. See history.h.
#include "simulator/history.h"

#include <charconv>
#include <utility>

namespace stackglue::simulator {

// What is in brackets at the end; a line that has none ends otherwise, since quoted text ends in a
// quotation mark.
History::Line History::Parse(std::string_view line) {
  const size_t open = line.rfind("  [");
  if (open == std::string_view::npos || line.back() != ']') return {std::string(line), {}};
  Line parsed{std::string(line.substr(0, open)), {}};
  const char* at = line.data() + open + 3;
  const char* const end = line.data() + line.size() - 1;
  while (at < end) {
    uint64_t choice = 0;
    const auto [next, error] = std::from_chars(at, end, choice);
    if (error != std::errc()) return {std::string(line), {}};
    parsed.choices.push_back(choice);
    at = next;
    if (at < end && *at == ' ') ++at;
  }
  return parsed;
}

std::string History::Format(const Line& line) {
  std::string text = line.text;
  if (line.choices.empty()) return text;
  text += "  [";
  for (const uint64_t choice : line.choices) text += std::to_string(choice) + " ";
  text.back() = ']';
  return text;
}

void History::Follow(std::string_view text) {
  follows_ = true;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    // Trailing white space is what editors and logs do to a text.
    if (!line.empty()) expected_.push_back(Parse(line));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
}

void History::Diverge(size_t line, std::string actual) {
  if (divergence_) return;
  divergence_ = Divergence{line, line <= expected_.size() ? Format(expected_[line - 1]) : "",
                           std::move(actual)};
}

void History::Note(const std::string& line) {
  if (lines_ > 0) {
    text_ += Format(current_) + "\n";
    if (follows_ && lines_ <= expected_.size() &&
        current_.choices.size() < expected_[lines_ - 1].choices.size()) {
      Diverge(lines_, Format(current_));
    }
  }
  ++lines_;
  current_ = {line, {}};
  if (!follows_) return;
  if (lines_ > expected_.size() || expected_[lines_ - 1].text != line) Diverge(lines_, line);
}

uint64_t History::Choose(uint64_t bound) {
  if (bound <= 1) return 0;
  if (!follows_) {
    current_.choices.push_back(random_.Below(bound));
    return current_.choices.back();
  }
  if (divergence_) return 0;
  const size_t made = current_.choices.size();
  const bool known = lines_ > 0 && lines_ <= expected_.size() &&
                     made < expected_[lines_ - 1].choices.size() &&
                     expected_[lines_ - 1].choices[made] < bound;
  if (!known) {
    Diverge(lines_, Format(current_) + " and a choice of " + std::to_string(bound));
    return 0;
  }
  current_.choices.push_back(expected_[lines_ - 1].choices[made]);
  return current_.choices.back();
}

std::string History::Text() const { return lines_ == 0 ? "" : text_ + Format(current_) + "\n"; }

}  // namespace stackglue::simulator
